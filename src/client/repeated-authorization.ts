// Node keeps the first `authorization` header of a request and drops the others before Connect or grpc-js receive it. A
// gateway may have checked another one. This module joins them, as Node joins most headers, so that the interceptors
// reject the request.
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import {
  createSecureServer,
  createServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';

/** The first release of Node that publishes `http2.server.stream.created`. */
const FIRST_WITH_STREAM_CHANNEL = 24;

let isSubscribed = false;

/** Applies to all requests that servers of this process receive from now on. */
export function joinRepeatedAuthorization(): void {
  if (isSubscribed) return;
  isSubscribed = true;
  subscribe('http.server.request.start', (message) => {
    const { request } = message as { request: IncomingMessage };
    join(request.headers, request.rawHeaders);
  });
  if (Number.parseInt(process.versions.node, 10) >= FIRST_WITH_STREAM_CHANNEL) joinOnNewStreams();
  else joinOnNewSessions();
}

/** The channel's message has no raw headers. The session emits them after it, with the same object of headers. */
function joinOnNewStreams(): void {
  const sessions = new WeakSet<Http2Session>();
  subscribe('http2.server.stream.created', (message) => {
    const session = (message as { stream: ServerHttp2Stream }).stream.session as ServerHttp2Session | undefined;
    if (!session || sessions.has(session)) return;
    sessions.add(session);
    joinStreamsOf(session);
  });
}

/** Older releases of Node report a session only by an event of its server. */
function joinOnNewSessions(): void {
  for (const server of [createServer(), createSecureServer()]) {
    const prototype = Object.getPrototypeOf(server) as { emit(event: string, ...values: unknown[]): boolean };
    const { emit } = prototype;
    prototype.emit = function emitAndJoin(event, ...values) {
      if (event === 'session') joinStreamsOf(values[0] as ServerHttp2Session);
      return emit.call(this, event, ...values);
    };
  }
}

function joinStreamsOf(session: ServerHttp2Session): void {
  session.prependListener('stream', (_stream, headers, _flags, rawHeaders) => join(headers, rawHeaders));
}

function join(headers: IncomingHttpHeaders, rawHeaders: string[]): void {
  const all = authorizationsIn(rawHeaders);
  if (all.length > 1) headers.authorization = all.join(', ');
}

export function authorizationsIn(rawHeaders: string[]): string[] {
  return rawHeaders.filter((_, n) => n % 2 === 1 && rawHeaders[n - 1]?.toLowerCase() === 'authorization');
}
