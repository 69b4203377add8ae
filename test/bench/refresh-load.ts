// The load of refresh.ts, in a process of its own: raw sockets, so that the callers take little of the two cores.
import { connect, type Socket } from 'node:net';

export type LoadOrder = { port: number; tokens: string[]; milliseconds: number };
/** `tokens` are the last ones, in the order of the former. */
export type LoadResult = { done: number; milliseconds: number; latenciesMs: number[]; tokens: string[] };

const PATH = '/latchkey.auth.v1.AuthService/Refresh';
const TOKEN = '"refreshToken":"';
const END_OF_HEAD = '\r\n\r\n';

process.on('message', async (order: LoadOrder) => process.send?.(await load(order)));

/** One caller a session, each with a connection of its own and one call at a time. */
async function load({ port, tokens, milliseconds }: LoadOrder): Promise<LoadResult> {
  const callers = await Promise.all(tokens.map(() => openCaller(port)));
  const latenciesMs: number[] = [];
  const startedAt = performance.now();
  const last = await Promise.all(
    tokens.map(async (first, n) => {
      let token = first;
      for (let now = performance.now(); now - startedAt < milliseconds; ) {
        token = await (callers[n] as Caller).refresh(token);
        const answeredAt = performance.now();
        latenciesMs.push(answeredAt - now);
        now = answeredAt;
      }
      return token;
    }),
  );
  const took = performance.now() - startedAt;
  for (const caller of callers) caller.close();
  return { done: latenciesMs.length, milliseconds: took, latenciesMs, tokens: last };
}

type Caller = { refresh(token: string): Promise<string>; close(): void };

async function openCaller(port: number): Promise<Caller> {
  const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let received = '';
  let waiting: PromiseWithResolvers<string> | null = null;
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    received += text;
    if (!isComplete(received)) return;
    const at = received.indexOf(TOKEN) + TOKEN.length;
    if (received.startsWith('HTTP/1.1 200') && at >= TOKEN.length) {
      waiting?.resolve(received.slice(at, received.indexOf('"', at)));
    } else waiting?.reject(new Error(received));
    received = '';
  });
  socket.on('close', () => waiting?.reject(new Error('the server has closed a connection')));
  const head = `POST ${PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: `;
  return {
    refresh(refreshToken) {
      waiting = Promise.withResolvers();
      const body = JSON.stringify({ refreshToken });
      socket.write(`${head}${body.length}${END_OF_HEAD}${body}`);
      return waiting.promise;
    },
    close: () => socket.destroy(),
  };
}

function isComplete(response: string): boolean {
  const headEnd = response.indexOf(END_OF_HEAD);
  if (headEnd < 0) return false;
  const length = /content-length: (\d+)/i.exec(response)?.[1];
  if (length === undefined) return response.endsWith(`\r\n0${END_OF_HEAD}`);
  return response.length - headEnd - END_OF_HEAD.length >= Number(length);
}
