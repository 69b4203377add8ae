// An SMTP server that behaves like real ones: slow, strict, greylisting, over quota, silent. A test can change it at any time.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext, TLSSocket } from 'node:tls';

export type Mood = {
  /** The delay of the greeting, as a tarpit has it. */
  greetingDelayMs?: number;
  /** The delay of the response to a message, as a content scanner has it. The message is delivered before. */
  answerDelayMs?: number;
  /** EHLO requires a host name with a dot, as the relay of Google Workspace does. */
  isStrictAboutHelo?: boolean;
  /** A recipient is rejected temporarily for this long after the first attempt. */
  greylistMs?: number;
  /** Offered methods of AUTH; an empty list disables AUTH. */
  authMethods?: string[];
  isLoginWrong?: boolean;
  starttls?: { cert: string; key: string };
  /** The response in place of a success. */
  answers?: Partial<Record<'MAIL' | 'RCPT' | 'DATA' | 'MESSAGE', string>>;
  /** The command that never gets a response. */
  silentAt?: 'EHLO' | 'MAIL' | 'MESSAGE';
};

export type MoodySmtp = {
  port: number;
  url: string;
  /** Names that clients gave in EHLO. */
  helos: string[];
  delivered: { to: string; from: string; messageId: string }[];
  /** How many connections are open. */
  connections(): number;
  change(mood: Mood): void;
  close(): Promise<void>;
};

export async function startMoodySmtp(first: Mood = {}): Promise<MoodySmtp> {
  let mood = first;
  const [helos, delivered, sockets] = [[] as string[], [] as MoodySmtp['delivered'], new Set<Socket>()];
  const offeredAt = new Map<string, number>();
  const isTooSoon = (recipient: string) => {
    const at = offeredAt.get(recipient) ?? performance.now();
    offeredAt.set(recipient, at);
    return performance.now() - at < (mood.greylistMs ?? 0);
  };

  async function serve(plain: Socket): Promise<void> {
    let socket: Socket = plain;
    let [recipient, isSecure] = ['', false];
    const say = (...lines: string[]) => {
      socket.write(
        lines.map((line, n) => `${line.slice(0, 3)}${n + 1 < lines.length ? '-' : ' '}${line.slice(4)}\r\n`).join(''),
      );
    };
    let input = linesOf(socket);
    await sleep(mood.greetingDelayMs ?? 0);
    say('220 mx.moody.example ESMTP');
    for (let line = await input(); line !== null; line = await input()) {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === mood.silentAt) await new Promise(() => {});
      if (verb === 'EHLO') {
        const name = line.slice(5);
        helos.push(name);
        if (mood.isStrictAboutHelo && !/^[a-z].*\./i.test(name)) {
          say('421 4.7.0 Try again later, closing connection. (EHLO)');
          return void socket.end();
        }
        const tls = mood.starttls && !isSecure ? ['250 STARTTLS'] : [];
        const auth = mood.authMethods ? [`250 AUTH ${mood.authMethods.join(' ')}`] : [];
        say('250 mx.moody.example', '250 PIPELINING', '250 ENHANCEDSTATUSCODES', ...tls, ...auth);
      } else if (verb === 'STAR' && mood.starttls) {
        say('220 go ahead');
        socket = new TLSSocket(plain, { isServer: true, secureContext: createSecureContext(mood.starttls) });
        socket.on('error', () => {});
        input = linesOf(socket);
        isSecure = true;
      } else if (verb === 'AUTH') say(mood.isLoginWrong ? '535 5.7.8 bad credentials' : '235 2.7.0 welcome');
      else if (verb === 'MAIL') say(mood.answers?.MAIL ?? '250 2.1.0 ok');
      else if (verb === 'RCPT') {
        recipient = /<(.*)>/.exec(line)?.[1] ?? '';
        const answer = isTooSoon(recipient)
          ? '450 4.2.0 greylisted, try later'
          : (mood.answers?.RCPT ?? '250 2.1.5 ok');
        if (!answer.startsWith('250')) recipient = '';
        say(answer);
      } else if (verb === 'DATA') {
        if (recipient === '') {
          say('503 5.5.1 no valid recipient');
          continue;
        }
        say(mood.answers?.DATA ?? '354 go on');
        if (mood.answers?.DATA) continue;
        let text = '';
        for (let part = await input(); part !== null && part !== '.'; part = await input()) text += `${part}\n`;
        if (mood.silentAt === 'MESSAGE') await new Promise(() => {});
        if (mood.answers?.MESSAGE) {
          say(mood.answers.MESSAGE);
          continue;
        }
        const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'im').exec(text)?.[1] ?? '';
        delivered.push({ to: recipient, from: header('From'), messageId: header('Message-ID') });
        await sleep(mood.answerDelayMs ?? 0);
        say(`250 2.0.0 queued for <${recipient}> as 4Yk2`);
      } else if (verb === 'QUIT') {
        say('221 bye');
        return void socket.end();
      } else say(verb === 'RSET' || verb === 'NOOP' ? '250 2.0.0 ok' : '502 5.5.1 what?');
    }
  }

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    void serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `smtp://127.0.0.1:${port}`,
    helos,
    delivered,
    connections: () => sockets.size,
    change(next) {
      mood = next;
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Returns a function that waits for the next line; null after the last. */
function linesOf(socket: Socket): () => Promise<string | null> {
  let [rest, hasEnded] = ['', false];
  let wake = () => {};
  socket.on('data', (chunk) => {
    rest += chunk;
    wake();
  });
  socket.on('close', () => {
    hasEnded = true;
    wake();
  });
  return async () => {
    while (!rest.includes('\r\n')) {
      if (hasEnded) return null;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const end = rest.indexOf('\r\n');
    const line = rest.slice(0, end);
    rest = rest.slice(end + 2);
    return line;
  };
}
