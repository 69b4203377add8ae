// One port for HTTP/1.1 and HTTP/2 in cleartext, told apart by the first bytes. Owns the connections: how many, how long
// they may stall, and how they end.
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { type Handler, type NodeRequest, type NodeResponse, sendJson } from './handler.ts';

export type ListenerOptions = {
  host: string;
  /** 0 for any free one. */
  port: number;
  /** Connections from one address at the most. */
  maxConnectionsPerPeer: number;
};

export type Listener = {
  port: number;
  /** Takes no more connections, lets calls in flight finish, and cuts off what is left after the grace. */
  close(graceMs: number): Promise<void>;
};

/** How long a connection may take to say what it speaks, a request to arrive whole. */
const STALL_TIMEOUT_MS = 10_000;
/** Longer than load balancers keep an idle connection, so that they and not we are the ones to close it. */
const KEEP_ALIVE_MS = 75_000;
const IDLE_SESSION_MS = 5 * 60_000;
const MAX_HEADER_BYTES = 16 * 1024;
/** How long the rest of a request may take that has its answer already. */
const UNREAD_GRACE_MS = 500;
const MAX_STREAMS_PER_CONNECTION = 100;
/** How HTTP/2 begins with prior knowledge (RFC 9113 section 3.4); no HTTP/1.1 method has these three letters. */
const HTTP2_PREFACE_START = Buffer.from('PRI');

export async function listen(options: ListenerOptions, handlers: Handler[]): Promise<Listener> {
  let closing = false;
  const sockets = new Set<Socket>();
  const peers = new Map<string, number>();
  const sessions = new Set<http2.ServerHttp2Session>();

  const onRequest = (request: NodeRequest, response: NodeResponse) => {
    if (closing && request.httpVersionMajor === 1) response.setHeader('connection', 'close');
    endStalled(request);
    endUnread(request, response);
    try {
      if (!handlers.some((handle) => handle(request, response))) sendJson(response, 404, { error: 'not found' });
    } catch {
      // Connect throws for a request without an authority, or with one that no URL can have.
      sendJson(response, 400, { error: 'bad request' });
    }
  };

  const h2 = http2.createServer(
    {
      maxHeaderListPairs: 64,
      settings: { maxConcurrentStreams: MAX_STREAMS_PER_CONNECTION, maxHeaderListSize: MAX_HEADER_BYTES },
    },
    onRequest,
  );
  h2.on('session', (session) => {
    sessions.add(session);
    session.setTimeout(IDLE_SESSION_MS, () => session.close());
    session.on('error', () => session.destroy());
    session.on('close', () => sessions.delete(session));
  });

  const h1 = http.createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: STALL_TIMEOUT_MS,
      requestTimeout: STALL_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 1_000,
    },
    onRequest,
  );
  // The HTTP/1.1 server listens; its own handler of new connections gets those that turn out to speak HTTP/1.1.
  const [speakHttp1] = h1.listeners('connection');
  h1.removeAllListeners('connection');
  h1.on('connection', (socket: Socket) => {
    socket.on('error', () => socket.destroy());
    const peer = socket.remoteAddress ?? '';
    const connections = (peers.get(peer) ?? 0) + 1;
    if (connections > options.maxConnectionsPerPeer) {
      socket.destroy();
      return;
    }
    peers.set(peer, connections);
    sockets.add(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      const left = (peers.get(peer) ?? 1) - 1;
      if (left > 0) peers.set(peer, left);
      else peers.delete(peer);
    });
    sniff(socket, (isHttp2) => (isHttp2 ? h2.emit('connection', socket) : speakHttp1?.call(h1, socket)));
  });

  await new Promise<void>((resolve, reject) => {
    h1.once('error', reject);
    h1.listen(options.port, options.host, resolve);
  });

  return {
    port: (h1.address() as AddressInfo).port,
    async close(graceMs) {
      closing = true;
      const closed = new Promise<void>((resolve) => h1.close(() => resolve()));
      for (const session of sessions) session.close();
      const sweep = setInterval(() => h1.closeIdleConnections(), 100);
      const cutOff = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearInterval(sweep);
      clearTimeout(cutOff);
    },
  };
}

/** Reads just enough to tell the protocols apart, and puts it back. */
function sniff(socket: Socket, decide: (isHttp2: boolean) => void): void {
  const chunks: Buffer[] = [];
  const timer = setTimeout(() => socket.destroy(), STALL_TIMEOUT_MS);
  socket.once('close', () => clearTimeout(timer));
  const onReadable = () => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk);
    const start = Buffer.concat(chunks);
    const wanted = HTTP2_PREFACE_START.subarray(0, start.length);
    const isHttp2 = start.subarray(0, HTTP2_PREFACE_START.length).equals(wanted);
    if (start.length === 0 || (isHttp2 && start.length < HTTP2_PREFACE_START.length)) return;
    clearTimeout(timer);
    socket.off('readable', onReadable);
    socket.unshift(start);
    decide(isHttp2);
  };
  socket.on('readable', onReadable);
}

/** Closes a request whose body does not arrive in time; Connect would wait for it for ever. */
function endStalled(request: NodeRequest): void {
  // Not the request itself, which closes as soon as nobody reads it any more.
  const carrier = 'stream' in request ? request.stream : request.socket;
  const timer = setTimeout(() => abandon(request), STALL_TIMEOUT_MS);
  const stop = () => {
    clearTimeout(timer);
    carrier.off('close', stop);
  };
  request.once('end', stop);
  carrier.once('close', stop);
}

/**
 * Ends a request that was answered before all of it had arrived, when the rest does not follow soon. (Over HTTP/1.1 Node
 * reads and drops the rest, so that the connection can be used again.)
 */
function endUnread(request: NodeRequest, response: NodeResponse): void {
  // Over HTTP/2 the response's own `finish` does not come once the request is destroyed; its stream's does.
  const answer = 'stream' in request ? request.stream : response;
  answer.once('finish', () => {
    if (!hasArrived(request)) setTimeout(() => hasArrived(request) || abandon(request), UNREAD_GRACE_MS).unref();
  });
}

function hasArrived(request: NodeRequest): boolean {
  return 'stream' in request ? request.stream.state.remoteClose === 1 : request.complete;
}

function abandon(request: NodeRequest): void {
  if ('stream' in request) request.stream.close(http2.constants.NGHTTP2_NO_ERROR);
  else request.socket.destroySoon();
}
