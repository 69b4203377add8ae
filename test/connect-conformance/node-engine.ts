// node:http and node:http2, as connect-node uses them.
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { Code, ConnectError } from '@connectrpc/connect';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import type { Engine, EngineOptions } from './engine.ts';

type Request = http.IncomingMessage | http2.Http2ServerRequest;
type Response = http.ServerResponse | http2.Http2ServerResponse;

export const nodeEngine: Engine = ({ handlers, isHttp2, tls }) => {
  const server = createServer(isHttp2, tls, (request, response) => {
    const handler = handlers.get(request.url?.split('?', 1)[0] ?? '');
    if (!handler) {
      response.statusCode = 404;
      response.end();
      return;
    }
    handler(universalRequestFromNodeRequest(request, response, undefined, undefined))
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((error: unknown) => {
        if (ConnectError.from(error).code !== Code.Aborted) console.error(error);
      });
  });
  // A connection must not end while the client sends its next request.
  if ('keepAliveTimeout' in server) server.keepAliveTimeout = 60_000;
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
};

function createServer(
  isHttp2: boolean,
  tls: EngineOptions['tls'],
  onRequest: (request: Request, response: Response) => void,
) {
  if (!tls) return isHttp2 ? http2.createServer(onRequest) : http.createServer(onRequest);
  const { cert, key, clientAuthority } = tls;
  const options = {
    cert,
    key,
    ...(clientAuthority && { ca: clientAuthority, requestCert: true, rejectUnauthorized: true }),
  };
  return isHttp2 ? http2.createSecureServer(options, onRequest) : https.createServer(options, onRequest);
}
