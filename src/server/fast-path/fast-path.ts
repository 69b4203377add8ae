// Answers the few requests that gateways and services send for every request of theirs, before Connect: from memory, in
// one step, with the same bytes. This folder owns the decoding and encoding of these requests. It must not decide about
// tokens or roles, or use node:http and src/http2.
import type { FastCall, FastHandler, FastRequest } from '../transport/fast-handler.ts';
import type { RequestHead } from '../transport/server-stream.ts';

/** An endpoint of the fast path, with all that the head of a request decides. */
export type PreparedRequest = { begin(request: FastRequest): FastCall | null };

export type FastEndpoint = {
  /** Whether it serves this path, without the query. */
  serves(path: string): boolean;
  /** Null when the handlers must answer requests with this head. */
  prepare(head: RequestHead, isHttp2: boolean): PreparedRequest | null;
};

const NOT_FAST: PreparedRequest = { begin: () => null };

export function createFastPath(endpoints: FastEndpoint[]): FastHandler {
  const prepare = (head: RequestHead, isHttp2: boolean): PreparedRequest => {
    const query = head.path.indexOf('?');
    const path = query === -1 ? head.path : head.path.slice(0, query);
    const endpoint = endpoints.find(({ serves }) => serves(path));
    return endpoint?.prepare(head, isHttp2) ?? NOT_FAST;
  };

  return (request) => {
    const { headers, isHttp2 } = request;
    // A client sends the same head again and again.
    headers.memo ??= prepare(headers, isHttp2);
    return (headers.memo as PreparedRequest).begin(request);
  };
}
