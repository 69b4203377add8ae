// The one seam between connections and everything above them: a request and its response over any version of HTTP.
// Http2Stream of src/http2 has this form by itself, and Http1Stream gives it to node:http.
import type { HeaderBlock } from '../../http2/hpack/header-block.ts';
import type { StreamReceiver } from '../../http2/stream-receiver.ts';
import type { Peer } from './peer.ts';

export type RequestHead = {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Empty when the client names none. */
  readonly host: string;
  /** -1 when the client does not announce it. */
  readonly contentLength: number;
  /** More or larger headers than the limits allow; some are missing here. */
  readonly isTooLarge: boolean;
  /** Names in lower case. */
  readonly fields: readonly { readonly name: string; readonly value: string }[];
  /** The values of a header joined. Empty without it. */
  get(name: string): string;
  /** Also for an empty header. */
  has(name: string): boolean;
  all(name: string): string[];
  /** Kept for later requests with the same head, where the connection recognizes them. */
  memo: unknown;
};

export type ServerStream = {
  readonly httpVersion: string;
  readonly headers: RequestHead;
  readonly context: Peer;
  /** performance.now() when the head of the request arrived. */
  readonly openedAt: number;
  /** performance.now() of the next `onDeadline`. */
  deadline: number;
  /** Whether the body may have any number of pieces, because it lasts as long as the stream. */
  isEndless: boolean;
  /** Whether the response has no end. */
  isLasting: boolean;
  readonly isClosed: boolean;
  readonly isRequestComplete: boolean;
  readonly hasResponded: boolean;
  /** Whether the whole response was handed to the socket. */
  readonly isResponseSent: boolean;
  /** Whether written bytes wait for the client. */
  readonly isBlocked: boolean;
  /** Delivers the body to this receiver from now on, or after `resume`. */
  receive(receiver: StreamReceiver, isPaused?: boolean): void;
  pause(): void;
  resume(): void;
  /** Puts bytes of the body back, for the next receiver. */
  handBack(piece: Buffer | null): void;
  /** @throws TypeError for an invalid header */
  respond(head: HeaderBlock, isEnd?: boolean): void;
  /** @returns false when the client must read first; `onDrain` follows */
  write(bytes: Uint8Array): boolean;
  end(bytes?: Uint8Array | null, trailers?: HeaderBlock | null): void;
  /** Ends the stream without a result. @param code of RFC 9113 section 7; HTTP/1.1 closes the connection */
  reset(code: number): void;
};
