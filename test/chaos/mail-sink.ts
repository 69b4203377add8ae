// An SMTP server whose behaviour can change. It records each mail that it has accepted or received completely.
import type { AddressInfo, Server, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import PostalMime from 'postal-mime';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';

export type Mood =
  | 'accepting'
  /** Accepts, but each response to a message takes two seconds. */
  | 'slow'
  /** Accepts the connection and sends no greeting. */
  | 'hanging'
  /** Rejects each recipient temporarily. */
  | '4xx'
  /** Rejects each recipient permanently. */
  | '5xx'
  /** Receives each message completely, and closes the connection without a response. */
  | 'dropping';

type SinkMail = { to: string; subject: string; messageId: string };

export type MailSink = {
  port: number;
  mood: Mood;
  mails: SinkMail[];
  /** Ends the current connections, as a restart of the server does. */
  dropConnections(): void;
  close(): Promise<void>;
};

const SLOW_ANSWER_MS = 2_000;

export async function openMailSink(): Promise<MailSink> {
  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    closeTimeout: 1_000,
    onConnect: (_session, callback) => void (sink.mood !== 'hanging' && callback()),
    onRcptTo({ address }, _session, callback) {
      const code = { '4xx': 451, '5xx': 550 }[sink.mood as string];
      if (code === undefined) return callback();
      callback(Object.assign(new Error(`<${address}>: not accepted`), { responseCode: code }));
    },
    onData(stream, session, callback) {
      receive(stream, session)
        .then(() => callback())
        .catch((error: Error) => callback(error));
    },
  });
  smtp.on('error', () => {});
  const sockets = new Set<Socket>();
  smtp.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const socketOf = (session: SMTPServerSession) =>
    [...sockets].find(({ remotePort }) => remotePort === session.remotePort);

  async function receive(stream: NodeJS.ReadableStream, session: SMTPServerSession): Promise<void> {
    const { subject = '', messageId = '' } = await PostalMime.parse(await text(stream));
    for (const { address } of session.envelope.rcptTo) sink.mails.push({ to: address, subject, messageId });
    if (sink.mood === 'slow') await sleep(SLOW_ANSWER_MS);
    if (sink.mood === 'dropping') socketOf(session)?.destroy();
  }

  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve));
  const sink: MailSink = {
    port: ((smtp.server as Server).address() as AddressInfo).port,
    mood: 'accepting',
    mails: [],
    dropConnections: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: () => new Promise((resolve) => smtp.close(() => resolve())),
  };
  return sink;
}
