// Brings requests of node:http to the fastPath path. Requests that it does not answer go on unchanged.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { soleAuthorization } from './authorization.ts';
import { createBody } from './fast-body.ts';
import type { FastAnswer, FastCall, FastHandler } from './fast-handler.ts';
import { peerOf } from './peer.ts';
import { createPatrol, WAIT_FOR_BODY_MS } from './sweeper.ts';

/** A request that is looked after until its answer is read, or given up to others. */
type Open = {
  request: IncomingMessage;
  response: ServerResponse;
  /** When it began, or was answered. */
  since: number;
  /** Null once the answer is certain. */
  giveUp: (() => void) | null;
  isGivenUp: boolean;
};

/** How long an answer may take to be read. */
const LINGER_MS = 10_000;

/** @param goOn what answers all other requests */
export function fastHttp1(
  fastPath: FastHandler,
  goOn: (request: IncomingMessage, response: ServerResponse) => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  const patrol = createPatrol<Open>(
    ({ request, response, isGivenUp }) => isGivenUp || response.writableFinished || request.socket.destroyed,
    ({ request, since, giveUp }) => {
      const age = performance.now() - since;
      if (giveUp) {
        if (age > WAIT_FOR_BODY_MS) giveUp();
      } else if (age > LINGER_MS) request.socket.destroy();
    },
  );

  return (request, response) => {
    const call = begin(fastPath, request);
    if (!call) return goOn(request, response);
    const body = createBody(call.bodyLength);

    const onData = (chunk: Buffer) => {
      const missing = body.add(chunk);
      if (missing > 0) return;
      request.off('data', onData);
      const whole = missing === 0 ? body.bytes() : null;
      const answer = whole && call.answer(whole);
      if (!answer) return giveUp();
      one.giveUp = null;
      // Before its end Node would take the connection for one that is still busy with the request.
      request.on('end', () => finish(answer));
    };
    const finish = (answer: FastAnswer) => {
      one.since = performance.now();
      send(response, answer);
    };
    const giveUp = () => {
      one.isGivenUp = true;
      request.off('data', onData);
      // Back to where it was before anybody listened to its data.
      request.pause();
      request.on('readable', nothing);
      request.off('readable', nothing);
      const read = body.bytes();
      if (read) request.unshift(read);
      goOn(request, response);
    };
    const one: Open = { request, response, since: performance.now(), giveUp, isGivenUp: false };
    patrol(one);
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

const nothing = () => {};
