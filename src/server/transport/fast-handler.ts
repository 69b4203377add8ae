// The interface between a connection and the fast path.
import type { HeaderBlock } from '../../http2/hpack/header-block.ts';
import type { Peer } from './peer.ts';
import type { RequestHead } from './server-stream.ts';

/** To a request of HTTP/1.1 the head has a content-length and no `connection`, and there are no trailers. */
export type FastAnswer = {
  head: HeaderBlock;
  body: Uint8Array | null;
  trailers: HeaderBlock | null;
};

/** Null from a function means that the handlers must answer. */
export type FastCall = {
  /** The length of the whole body, computed from its start. Negative when the handlers must answer. */
  bodyLength(start: Buffer): number;
  answer(body: Buffer): FastAnswer | null;
  /** The response to a body that ends too early: the handlers could not read it again. */
  rejectTruncated(body: Buffer): FastAnswer | null;
};

export type FastRequest = {
  headers: RequestHead;
  peer: Peer;
  isHttp2: boolean;
  /** Whether the request has no body. */
  isComplete: boolean;
  /** performance.now() when the head of the request arrived. */
  openedAt: number;
};

export type FastHandler = (request: FastRequest) => FastCall | null;
