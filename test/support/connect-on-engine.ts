// Connect's handlers on the HTTP/2 engine, by the code of the service and without its middleware.
import type { Duplex } from 'node:stream';
import { createContextValues } from '@connectrpc/connect';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import { createHttp2Server } from '../../src/http2/server.ts';
import { sendUniversal, universalRequest } from '../../src/server/rpc/universal.ts';
import type { Peer } from '../../src/server/transport/peer.ts';
import { ServerRequest } from '../../src/server/transport/server-request.ts';
import type { ServerStream } from '../../src/server/transport/server-stream.ts';

const MINUTE_MS = 60_000;
export const PEER: Peer = { address: '127.0.0.1', service: null };

type Handlers = ReadonlyMap<string, UniversalHandler>;

/** Answers one request of any version of HTTP. @param handlers by the path of the RPC */
export function answerByConnect(handlers: Handlers): (stream: ServerStream) => void {
  return (stream) => {
    const request = new ServerRequest(stream);
    const { response } = request;
    const handler = handlers.get(request.path);
    if (!handler) {
      response.statusCode = 404;
      response.end();
      return;
    }
    if (handler.method.methodKind !== 'unary') {
      request.answerLasts();
      request.requestLasts();
    }
    handler(universalRequest(request, request.pieces(), createContextValues()))
      .then((answer) => sendUniversal(answer, response))
      .catch(() => response.destroy());
  };
}

/** Serves HTTP/2 on a socket. */
export function connectOnEngine(handlers: Handlers): (socket: Duplex) => void {
  const server = createHttp2Server<Peer>({
    idleMs: 5 * MINUTE_MS,
    pingEveryMs: MINUTE_MS,
    pingTimeoutMs: MINUTE_MS,
    graceMs: MINUTE_MS,
    onStream: answerByConnect(handlers),
    onDefect: (error) => console.error(error),
  });
  return (socket) => server.serve(socket, PEER, Number.POSITIVE_INFINITY);
}
