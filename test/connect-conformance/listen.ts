// Connect's handlers on the transport of the service: src/http2, and node:http behind Http1Stream.
import http from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import tls from 'node:tls';
import type { UniversalHandler } from '@connectrpc/connect/protocol';
import { Http1Stream } from '../../src/server/transport/http1-stream.ts';
import { answerByConnect, connectOnEngine, PEER } from '../support/connect-on-engine.ts';

type ListenOptions = {
  /** By the path of the RPC. A request of another path has status 404. */
  handlers: ReadonlyMap<string, UniversalHandler>;
  /** HTTP/2 or HTTP/1.1. */
  isHttp2: boolean;
  tls: {
    cert: string;
    key: string;
    /** Clients must have a certificate of this authority. */
    clientAuthority: string | null;
  } | null;
};

/** A connection must not end while the client sends its next request. */
const KEEP_ALIVE_MS = 60_000;

/** Listens on 127.0.0.1. @returns its port */
export function listen({ handlers, isHttp2, tls: tlsOptions }: ListenOptions): Promise<number> {
  const serve = isHttp2 ? connectOnEngine(handlers) : serveHttp1(handlers);
  const server = listenerOf(tlsOptions, isHttp2 ? 'h2' : 'http/1.1', serve);
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

function serveHttp1(handlers: ListenOptions['handlers']): (socket: Socket) => void {
  const answer = answerByConnect(handlers);
  const server = http.createServer((request, response) => answer(new Http1Stream(request, response, PEER)));
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  return (socket) => void server.emit('connection', socket);
}

function listenerOf(options: ListenOptions['tls'], protocol: string, serve: (socket: Socket) => void): Server {
  if (!options) return createServer(serve);
  const { cert, key, clientAuthority } = options;
  const clients = clientAuthority ? { ca: clientAuthority, requestCert: true, rejectUnauthorized: true } : {};
  const server = tls.createServer({ cert, key, ...clients, ALPNProtocols: [protocol] });
  return server.on('secureConnection', serve);
}
