// One port for HTTP/1.1 and HTTP/2, distinguished by the first bytes of a connection, or by ALPN with TLS. This folder
// owns connections: their number, their limits and their end. It must not depend on RPCs or on what a request asks for.
import http from 'node:http';
import { createServer, type Socket } from 'node:net';
import { createHttp2Server } from '../../http2/server.ts';
import { plainAddress } from './client-address.ts';
import type { ShownCertificate } from './client-certificate.ts';
import { ageOf, type Lifetime } from './connection-age.ts';
import { detectProtocol } from './detect-protocol.ts';
import type { FastHandler } from './fast-handler.ts';
import { type Handler, sendJson } from './handler.ts';
import { Http1Connection } from './http1-connection.ts';
import { Http1Stream } from './http1-stream.ts';
import { type ListenAddress, listenOnAll } from './listen-on-all.ts';
import { type Peer, peerOf, setPeer } from './peer.ts';
import { readProxyHeader } from './proxy-protocol.ts';
import { serveFast } from './serve-fast.ts';
import { ServerRequest, STALL_TIMEOUT_MS } from './server-request.ts';
import type { ServerStream } from './server-stream.ts';
import { createTlsServer, type TlsOptions } from './tls.ts';

export type ListenerOptions = {
  address: ListenAddress;
  tls: TlsOptions | null;
  onTlsProblem: (error: Error) => void;
  /** Receives a defect that has ended a connection. */
  onDefect: (error: unknown) => void;
  maxConnectionsPerPeer: number;
  lifetime: Lifetime;
  /** Whether connections from this address begin with a PROXY protocol header. */
  isProxy(address: string): boolean;
};

export type Listener = {
  port: number;
  connections(): number;
  /** Null without TLS. */
  certificateExpiresAt(): Date | null;
  close(graceMs: number): Promise<void>;
};

/** Longer than load balancers keep an idle connection, so that they close it first. */
const KEEP_ALIVE_MS = 75_000;
const TCP_KEEPALIVE_MS = 60_000;
/** Over HTTP/1.1. nginx accepts 32 KiB of a client and adds its own. Forward auth receives all of them. */
const MAX_HEADER_BYTES = 48 * 1024;
/** An HTTP/2 connection without a call for this long is closed, even if it carries other frames. */
const IDLE_MS = 5 * 60_000;
/** For first bytes that were already received when the server stops. */
const FIRST_BYTES_MS = 500;
/** For requests that a client sends over HTTP/1.1 before it can know that the server stops. */
const LAST_REQUESTS_MS = 1_000;

/** @param fastPath tried first; it costs a small part of what the handlers do */
export async function listen(options: ListenerOptions, fastPath: FastHandler, handlers: Handler[]): Promise<Listener> {
  let closing = false;
  const sockets = new Set<Socket>();
  const peers = new Map<string, number>();
  const http1Connections = new WeakMap<Socket, Http1Connection>();
  const undetected = new Map<string, Socket>();

  const serveHandlers = (stream: ServerStream) => {
    const request = new ServerRequest(stream);
    const { response } = request;
    if (stream.headers.isTooLarge) return sendJson(response, 431, { error: 'headers too large' });
    try {
      if (!handlers.some((handle) => handle(request, response))) sendJson(response, 404, { error: 'not found' });
    } catch {
      // The host or the path of the request is not valid in a URL.
      sendJson(response, 400, { error: 'bad request' });
    }
  };
  const serve = serveFast(fastPath, serveHandlers);
  const h2 = createHttp2Server<Peer>({
    ...options.lifetime,
    idleMs: IDLE_MS,
    onStream: serve,
    onDefect: options.onDefect,
  });

  const tls =
    options.tls &&
    createTlsServer(
      options.tls,
      (socket, certificate) => serveConnection(socket, socket.alpnProtocol === 'h2', certificate),
      options.onTlsProblem,
    );

  const h1 = http.createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: STALL_TIMEOUT_MS,
      requestTimeout: STALL_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      const connection = http1Connections.get(request.socket);
      if (connection?.admit(request, response))
        serve(new Http1Stream(request, response, peerOf(request.socket), connection.arrivedAt));
    },
  );
  // The HTTP/1.1 server accepts all connections. Its own listener receives only those that are HTTP/1.1.
  const [serveHttp1] = h1.listeners('connection');
  h1.removeAllListeners('connection');
  h1.on('connection', (socket: Socket) => {
    const [address, key] = [socket.remoteAddress ?? '', connectionKey(socket)];
    socket.on('error', () => socket.destroy());
    // The client disconnected before this, so its address is unavailable.
    if (address === '') return void socket.destroy();
    sockets.add(socket);
    undetected.set(key, socket);
    socket.on('close', () => {
      sockets.delete(socket);
      if (undetected.get(key) === socket) undetected.delete(key);
    });
    if (!options.isProxy(address)) accept(socket, address);
    else readProxyHeader(socket, STALL_TIMEOUT_MS, (source) => accept(socket, source ?? address));
  });

  function accept(socket: Socket, source: string): void {
    const address = plainAddress(source) ?? source;
    const connections = (peers.get(address) ?? 0) + 1;
    if (connections > options.maxConnectionsPerPeer) {
      socket.destroy();
      return;
    }
    peers.set(address, connections);
    socket.on('close', () => {
      const left = (peers.get(address) ?? 1) - 1;
      if (left > 0) peers.set(address, left);
      else peers.delete(address);
    });
    setPeer(socket, { address, service: null });
    if (tls) tls.handshake(socket);
    else detectProtocol(socket, STALL_TIMEOUT_MS, (isHttp2) => serveConnection(socket, isHttp2, { service: null }));
  }

  function serveConnection(socket: Socket, isHttp2: boolean, certificate: ShownCertificate): void {
    const key = connectionKey(socket);
    setPeer(socket, { address: peerOf(undetected.get(key)).address, ...certificate });
    undetected.delete(key);
    if (!isHttp2) {
      const maxAgeMs = ageOf(options.lifetime);
      if (maxAgeMs < Number.POSITIVE_INFINITY) destroyAfter(socket, maxAgeMs + options.lifetime.graceMs);
      socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
      serveHttp1?.call(h1, socket);
      const { onDefect } = options;
      const settings = { fastPath, keepAliveMs: KEEP_ALIVE_MS, maxAgeMs, isClosing: () => closing, onDefect };
      http1Connections.set(socket, new Http1Connection(socket, settings));
      return;
    }
    // An HTTP/1.1 client may end its side and wait for the response. An HTTP/2 client has then disconnected.
    socket.allowHalfOpen = false;
    h2.serve(socket, peerOf(socket), ageOf(options.lifetime));
  }

  const forwardToHttp1 = (socket: Socket) => void h1.emit('connection', socket);
  // node:http enforces its time limits only when it listens itself.
  const listening = await listenOnAll(options.address, (n) => (n === 0 ? h1 : createServer(forwardToHttp1)), h2.retire);

  return {
    port: listening.port,
    connections: () => sockets.size,
    certificateExpiresAt: () => tls?.expiresAt() ?? null,
    async close(graceMs) {
      closing = true;
      tls?.close();
      const closed = listening.close();
      // First bytes that were already received are read within this time.
      const silent = setTimeout(() => {
        for (const socket of undetected.values()) socket.destroy();
      }, FIRST_BYTES_MS);
      h2.drain();
      const stoppedAt = performance.now();
      const sweep = setInterval(() => {
        if (performance.now() - stoppedAt > LAST_REQUESTS_MS) h1.closeIdleConnections();
      }, 100);
      const cutOff = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearInterval(sweep);
      clearTimeout(cutOff);
      clearTimeout(silent);
    },
  };
}

function destroyAfter(socket: Socket, milliseconds: number): void {
  const timer = setTimeout(() => socket.destroy(), milliseconds);
  socket.once('close', () => clearTimeout(timer));
}

/** Equal for a socket and for TLS on it. */
function connectionKey({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
