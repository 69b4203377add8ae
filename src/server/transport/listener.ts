// One port for HTTP/1.1 and HTTP/2, told apart by the first bytes, or with TLS by ALPN. Owns the connections: how many, how long
// they may stall, and how they end.
import http from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, Server, type Socket } from 'node:net';
import { ChunkCountingHttp1Request, ChunkCountingHttp2Request } from './body-limits.ts';
import { plainAddress } from './client-address.ts';
import type { CertifiedService } from './client-certificate.ts';
import { sniff } from './detect-protocol.ts';
import type { FastHandler } from './fast-handler.ts';
import { fastHttp1 } from './fast-http1.ts';
import { fastHttp2, type OnStream } from './fast-http2.ts';
import { type Handler, type NodeRequest, type NodeResponse, sendJson } from './handler.ts';
import { mayPipeline } from './http1-pipelining.ts';
import { ageOf, createSessions, LAST_CALLS_MS, type Lifetime } from './http2-connections.ts';
import { notePeer, peerOf } from './peer.ts';
import { readProxyHeader } from './proxy-protocol.ts';
import { countResets, isOver, RESET_LIMITS } from './rapid-reset.ts';
import { boundExchange, STALL_TIMEOUT_MS, UNREAD_GRACE_MS } from './request-timeouts.ts';
import { openTls, type TlsOptions } from './tls.ts';

export type ListenerOptions = {
  host: string;
  /** Null for cleartext. */
  tls: TlsOptions | null;
  /** Hears why a new certificate is not used. */
  onTlsProblem: (error: Error) => void;
  /** 0 for any free one. */
  port: number;
  /** Connections from one address at the most. */
  maxConnectionsPerPeer: number;
  lifetime: Lifetime;
  /** Whether connections from there begin with a header of the PROXY protocol. */
  isProxy(address: string): boolean;
};

export type Listener = {
  port: number;
  /** How many connections are open. */
  connections(): number;
  /** Takes no more connections, lets calls in flight finish, and cuts off what is left after the grace. */
  close(graceMs: number): Promise<void>;
};

/** Longer than load balancers keep an idle connection, so that they and not we are the ones to close it. */
const KEEP_ALIVE_MS = 75_000;
/** How long an HTTP/1.1 connection is silent before the system asks whether somebody is there. */
const TCP_KEEPALIVE_MS = 60_000;
const MAX_HEADER_BYTES = 16 * 1024;
/** Over HTTP/1.1; node:http2 has a bound of its own. */
const MAX_HEADERS = 128;
const MAX_STREAMS_PER_CONNECTION = 100;

/**
 * @param fastPath asked first, at half the cost of the handlers
 * @param handlers asked in turn for everything else
 */
export async function listen(options: ListenerOptions, fastPath: FastHandler, handlers: Handler[]): Promise<Listener> {
  let closing = false;
  const sockets = new Set<Socket>();
  const peers = new Map<string, number>();
  const sessions = createSessions(options.lifetime);
  /** Of HTTP/1.1 connections: when they are to take no more requests (monotonic). */
  const retireAt = new WeakMap<Socket, number>();
  /** Connections that have not said yet what they speak. */
  const undecided = new Map<string, Socket>();

  const onRequest = (request: NodeRequest, response: NodeResponse) => {
    boundExchange(request, response);
    // HTTP/1.1 has its own check; what HTTP/2 has in its settings binds a client only once it has seen them.
    if (headerBytes(request.rawHeaders) > MAX_HEADER_BYTES || request.rawHeaders.length > 2 * MAX_HEADERS)
      return sendJson(response, 431, { error: 'headers too large' });
    try {
      if (!handlers.some((handle) => handle(request, response))) sendJson(response, 404, { error: 'not found' });
    } catch {
      // Connect throws for a request without an authority, or with one that no URL can have.
      sendJson(response, 400, { error: 'bad request' });
    }
  };

  const h2 = http2.createServer(
    {
      Http2ServerRequest: ChunkCountingHttp2Request,
      maxHeaderListPairs: 64,
      ...RESET_LIMITS,
      settings: { maxConcurrentStreams: MAX_STREAMS_PER_CONNECTION, maxHeaderListSize: MAX_HEADER_BYTES },
    },
    onRequest,
  );
  // What Node does to make requests and responses of streams, which the fastPath path spares itself.
  const [serveStream] = h2.listeners('stream') as OnStream[];
  h2.removeAllListeners('stream');
  const serveAsRequest: OnStream = (stream, ...rest) => {
    countResets(stream);
    serveStream?.call(h2, stream, ...rest);
  };
  const serveFast = fastHttp2(fastPath, serveAsRequest);
  h2.on('stream', (stream, headers, flags, rawHeaders) => {
    if (isOver(stream)) {
      stream.on('error', () => {});
      stream.destroy();
      return;
    }
    const serve = headerBytes(rawHeaders) > MAX_HEADER_BYTES ? serveAsRequest : serveFast;
    serve(stream, headers, flags, rawHeaders);
  });
  h2.on('session', sessions.add);

  const tls =
    options.tls &&
    openTls(
      options.tls,
      (socket, service) => speak(socket, socket.alpnProtocol === 'h2', service),
      options.onTlsProblem,
    );

  const answerHttp1 = fastHttp1(fastPath, (request, response) => {
    if (mayPipeline(request, response)) onRequest(request, response);
  });
  const h1 = http.createServer(
    {
      IncomingMessage: ChunkCountingHttp1Request,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: STALL_TIMEOUT_MS,
      requestTimeout: STALL_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      if (closing || performance.now() > (retireAt.get(request.socket) ?? 0)) response.shouldKeepAlive = false;
      answerHttp1(request, response);
    },
  );
  // The HTTP/1.1 server listens; its own handler of new connections gets those that turn out to speak HTTP/1.1.
  const [speakHttp1] = h1.listeners('connection');
  h1.removeAllListeners('connection');
  h1.on('connection', (socket: Socket) => {
    const [address, name] = [socket.remoteAddress ?? '', nameOf(socket)];
    socket.on('error', () => socket.destroy());
    // It has ended before it was accepted, and nobody could tell whose it was.
    if (address === '') return void socket.destroy();
    sockets.add(socket);
    undecided.set(name, socket);
    socket.on('close', () => {
      sockets.delete(socket);
      if (undecided.get(name) === socket) undecided.delete(name);
    });
    if (!options.isProxy(address)) admit(socket, address);
    else readProxyHeader(socket, STALL_TIMEOUT_MS, (source) => admit(socket, source ?? address));
  });

  /** Unless this client has too many already. */
  function admit(socket: Socket, told: string): void {
    const address = plainAddress(told) ?? told;
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
    notePeer(socket, { address, service: null });
    if (tls) tls.accept(socket);
    else sniff(socket, STALL_TIMEOUT_MS, (isHttp2) => speak(socket, isHttp2, null));
  }

  /** @param socket the one that was accepted, or TLS on it */
  function speak(socket: Socket, isHttp2: boolean, service: CertifiedService | null): void {
    const name = nameOf(socket);
    notePeer(socket, { address: peerOf(undecided.get(name)).address, service });
    undecided.delete(name);
    if (!isHttp2) {
      const age = ageOf(options.lifetime);
      retireAt.set(socket, performance.now() + age);
      if (age < Number.POSITIVE_INFINITY) endAfter(socket, age + options.lifetime.graceMs);
      socket.setKeepAlive(true, TCP_KEEPALIVE_MS);
      speakHttp1?.call(h1, socket);
      return;
    }
    // An HTTP/1.1 client may end its side and wait for the answer; over HTTP/2 that is the end.
    socket.allowHalfOpen = false;
    h2.emit('connection', socket);
  }

  await new Promise<void>((resolve, reject) => {
    h1.once('error', reject);
    h1.listen(options.port, options.host, resolve);
  });

  return {
    port: (h1.address() as AddressInfo).port,
    connections: () => sockets.size,
    async close(graceMs) {
      closing = true;
      tls?.close();
      // Not http's own close, which cuts off idle connections at once: a request may be on its way.
      const closed = new Promise<void>((resolve) => Server.prototype.close.call(h1, () => resolve()));
      // What they have sent may not have been read yet; soon it will have been.
      const silent = setTimeout(() => {
        for (const socket of undecided.values()) socket.destroy();
      }, UNREAD_GRACE_MS);
      sessions.drain();
      const stoppedAt = performance.now();
      const sweep = setInterval(() => {
        if (performance.now() - stoppedAt > LAST_CALLS_MS) h1.closeIdleConnections();
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

/** With all that is on it, such as a stream. */
function endAfter(socket: Socket, milliseconds: number): void {
  const timer = setTimeout(() => socket.destroy(), milliseconds);
  socket.once('close', () => clearTimeout(timer));
}

/** The same for a connection and for TLS on it. */
function nameOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

function headerBytes(rawHeaders: string[]): number {
  let sum = 0;
  for (const text of rawHeaders) sum += text.length;
  return sum;
}
