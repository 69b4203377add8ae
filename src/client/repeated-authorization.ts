// Node keeps the first `authorization` header of a request and drops the others, before Connect or grpc-js can see them. A
// gateway may have looked at another one. Here they are joined, as Node joins most headers, so that the interceptors reject them.
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import type { Http2Session, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';

let isSubscribed = false;

/** Of all requests that servers of this process receive from now on. */
export function joinRepeatedAuthorization(): void {
  if (isSubscribed) return;
  isSubscribed = true;
  subscribe('http.server.request.start', (message) => {
    const { request } = message as { request: IncomingMessage };
    join(request.headers, request.rawHeaders);
  });
  // Its message has no raw headers. The session emits them after it, with the same object of headers.
  const sessions = new WeakSet<Http2Session>();
  subscribe('http2.server.stream.created', (message) => {
    const session = (message as { stream: ServerHttp2Stream }).stream.session as ServerHttp2Session | undefined;
    if (!session || sessions.has(session)) return;
    sessions.add(session);
    session.prependListener('stream', (_stream, headers, _flags, rawHeaders) => join(headers, rawHeaders));
  });
}

function join(headers: IncomingHttpHeaders, rawHeaders: string[]): void {
  const all = authorizationsIn(rawHeaders);
  if (all.length > 1) headers.authorization = all.join(', ');
}

/** @param rawHeaders names and values in turn, as Node has them */
export function authorizationsIn(rawHeaders: string[]): string[] {
  return rawHeaders.filter((_, n) => n % 2 === 1 && rawHeaders[n - 1]?.toLowerCase() === 'authorization');
}
