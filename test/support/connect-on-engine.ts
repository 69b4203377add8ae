// Connect's handlers on the HTTP/2 engine, by the code of the service and without its middleware.
import type { Duplex } from 'node:stream';
import { type ConnectRouter, createContextValues } from '@connectrpc/connect';
import { createHttp2Server } from '../../src/http2/server.ts';
import { sendUniversal, universalRequest } from '../../src/server/rpc/universal.ts';
import type { Peer } from '../../src/server/transport/peer.ts';
import { ServerRequest } from '../../src/server/transport/server-request.ts';
import type { ServerStream } from '../../src/server/transport/server-stream.ts';

const MINUTE_MS = 60_000;
const PEER: Peer = { address: '127.0.0.1', service: null };

/** Answers one request of any version of HTTP. */
function answerByConnect(router: ConnectRouter): (stream: ServerStream) => void {
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
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
export function connectOnEngine(router: ConnectRouter): (socket: Duplex) => void {
  const server = createHttp2Server<Peer>({
    idleMs: 5 * MINUTE_MS,
    pingEveryMs: MINUTE_MS,
    pingTimeoutMs: MINUTE_MS,
    graceMs: MINUTE_MS,
    onStream: answerByConnect(router),
    onDefect: (error) => console.error(error),
  });
  return (socket) => server.serve(socket, PEER, Number.POSITIVE_INFINITY);
}
