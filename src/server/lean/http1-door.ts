// Brings requests of node:http to the lean path. One that it does not answer goes on as if nobody had touched it. That a
// request arrives in time is node:http's own business.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { peerOf } from '../peer.ts';
import { createBody } from './body.ts';
import type { LeanAnswer, LeanRpc } from './lean-rpc.ts';
import { createPatrol } from './patrol.ts';

/** An answer that its caller may not read. */
type Sent = { request: IncomingMessage; response: ServerResponse; since: number };

/** How long an answer may take to be read. */
const LINGER_MS = 10_000;

/** @param goOn what answers all other requests */
export function leanHttp1(
  lean: LeanRpc,
  goOn: (request: IncomingMessage, response: ServerResponse) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  const patrol = createPatrol<Sent>(
    ({ request, response }) => response.writableFinished || request.socket.destroyed,
    ({ request, since }) => {
      if (performance.now() - since > LINGER_MS) request.socket.destroy();
    },
  );

  return (request, response) => {
    const call = lean({
      isHttp2: false,
      method: request.method ?? '',
      path: request.url ?? '',
      host: request.headers.host ?? '',
      header(name) {
        const value = request.headers[name] ?? '';
        return typeof value === 'string' ? value : null;
      },
      address() {
        return peerOf(request.socket).address;
      },
    });
    if (!call) return goOn(request, response);
    const body = createBody(call.bodyLength);

    const onData = (chunk: Buffer) => {
      const missing = body.add(chunk);
      if (missing > 0) return;
      request.off('data', onData);
      const whole = missing === 0 ? body.bytes() : null;
      const answer = whole && call.answer(whole);
      // Before its end Node would take the connection for one that is still busy with the request.
      if (answer) request.on('end', () => finish(answer));
      else giveUp();
    };
    const finish = (answer: LeanAnswer) => {
      send(response, answer);
      patrol({ request, response, since: performance.now() });
    };
    const giveUp = () => {
      // Back to where it was before anybody listened to its data.
      request.pause();
      request.on('readable', nothing);
      request.off('readable', nothing);
      const read = body.bytes();
      if (read) request.unshift(read);
      goOn(request, response);
    };
    request.on('data', onData);
  };
}

function send(response: ServerResponse, { status, headers, body }: LeanAnswer): void {
  response.writeHead(status, headers);
  if (typeof body === 'string') response.end(body, 'latin1');
  else response.end(body);
}

const nothing = () => {};
