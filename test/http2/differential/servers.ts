// The two servers of the comparison. Each answers a request once it is complete, on connections in memory.
import http2 from 'node:http2';
import { LIMITS } from '../../../src/http2/limits.ts';
import { Client, Engine, type Exchange } from '../engine.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import type { Session } from './session.ts';

export async function runOurs(session: Session): Promise<Outcome> {
  const engine = new Engine({ onRequest: answerAtEnd });
  const outcome = await run(engine.open(), session);
  if (engine.defects.length > 0) throw new Error('the engine has a defect', { cause: engine.defects[0] });
  return outcome;
}

/** With the parts of the request, so that a difference of them shows. */
const answerTo = (method: string, path: string, bodyLength: number) =>
  method === 'HEAD' ? '' : `${method} ${path} ${bodyLength}`;

function answerAtEnd(exchange: Exchange): void {
  const { method, path } = exchange.stream.headers;
  exchange.onEvent = (event) => {
    if (event === 'end') exchange.answer(answerTo(method, path, exchange.body.length));
  };
  exchange.stream.receive(exchange);
}

const MANY = 1_000_000;
const node = http2.createServer({
  settings: {
    maxConcurrentStreams: LIMITS.maxStreams,
    initialWindowSize: LIMITS.streamWindow,
    maxHeaderListSize: LIMITS.maxHeaderListBytes,
  },
  // Its own limits, beyond those of the protocol, would end sessions that the engine continues. The sessions are too
  // short for the rates of resets of either server.
  maxSessionInvalidFrames: MANY,
  maxSessionRejectedStreams: MANY,
  maxHeaderListPairs: MANY,
  maxSettings: MANY,
});
node.on('sessionError', () => {});
node.on('stream', (stream, { ':method': method = '', ':path': path = '' }) => {
  let bodyLength = 0;
  stream.on('data', (piece: Buffer) => {
    bodyLength += piece.length;
  });
  stream.on('error', () => {});
  stream.on('end', () => {
    try {
      stream.respond({ ':status': 200 });
      stream.end(answerTo(method, path, bodyLength));
    } catch {
      // The stream or the session has ended.
    }
  });
});

export async function runNode(session: Session): Promise<Outcome> {
  const client = new Client();
  client.socket.on('error', () => {});
  node.emit('connection', client.socket);
  return run(client, session);
}

async function run(client: Client, session: Session): Promise<Outcome> {
  await client.settle();
  for (const write of session.writes) await client.send(write);
  const { socket } = client;
  const outcome = outcomeOf(client.frames(), socket.destroyed || socket.writableEnded);
  socket.destroy();
  return outcome;
}
