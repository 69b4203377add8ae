// Passes requests of node:http to the fast path. Requests that it does not answer continue unchanged.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { soleAuthorization } from './authorization.ts';
import { createBody } from './fast-body.ts';
import { type FastAnswer, type FastCall, type FastHandler, headersWith } from './fast-handler.ts';
import { peerOf } from './peer.ts';
import { createSweeper, READ_TIMEOUT_MS, WAIT_FOR_BODY_MS } from './sweeper.ts';

type Tracked = {
  request: IncomingMessage;
  response: ServerResponse;
  /** performance.now() at its start, then at its response. */
  since: number;
  handOver: (() => void) | null;
  isHandedOver: boolean;
};

export function fastHttp1(
  fastPath: FastHandler,
  serve: (request: IncomingMessage, response: ServerResponse) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  const track = createSweeper<Tracked>(
    ({ request, response, isHandedOver }) => isHandedOver || response.writableFinished || request.socket.destroyed,
    ({ request, since, handOver }) => {
      const age = performance.now() - since;
      if (handOver) {
        if (age > WAIT_FOR_BODY_MS) handOver();
      } else if (age > READ_TIMEOUT_MS) request.socket.destroy();
    },
  );

  return (request, response) => {
    const call = begin(fastPath, request);
    if (!call) return serve(request, response);
    const body = createBody(call.bodyLength);

    const onData = (chunk: Buffer) => {
      const missing = body.add(chunk);
      if (missing > 0) return;
      request.off('data', onData);
      const whole = missing === 0 ? body.bytes() : null;
      const answer = whole && call.answer(whole);
      if (!answer) return handOver();
      tracked.handOver = null;
      // Before the end of the request, Node would count its connection as busy.
      request.on('end', () => finish(answer));
    };
    const finish = (answer: FastAnswer) => {
      tracked.since = performance.now();
      send(response, answer);
    };
    const handOver = () => {
      tracked.isHandedOver = true;
      request.off('data', onData);
      // Restores the state from before the first listener.
      request.pause();
      request.on('readable', ignore);
      request.off('readable', ignore);
      const read = body.bytes();
      if (read) request.unshift(read);
      const timeout = call.remainingTimeout();
      if (timeout) request.headers[timeout.name] = timeout.value;
      serve(request, response);
    };
    const tracked: Tracked = { request, response, since: performance.now(), handOver, isHandedOver: false };
    track(tracked);
    request.on('data', onData);
  };
}

function begin(fastPath: FastHandler, request: IncomingMessage): FastCall | null {
  return fastPath({
    isHttp2: false,
    method: request.method ?? '',
    path: request.url ?? '',
    host: request.headers.host ?? '',
    header(name) {
      const value = request.headers[name] ?? '';
      return typeof value === 'string' ? value : null;
    },
    headersWith: (prefix) => headersWith(request.headers, prefix),
    hasHeader: (name) => request.headers[name] !== undefined,
    authorization: () => soleAuthorization(request.rawHeaders),
    address() {
      return peerOf(request.socket).address;
    },
  });
}

function send(response: ServerResponse, { status, headers, body }: FastAnswer): void {
  response.writeHead(status, headers);
  if (typeof body === 'string') response.end(body, 'latin1');
  else response.end(body);
}

function ignore(): void {}
