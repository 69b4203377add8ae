// The interface between a connection and the fast path: the head and the body of a request go in, a response comes out.

/** The parts of a request that arrive before its body. */
type FastHead = {
  isHttp2: boolean;
  method: string;
  path: string;
  host: string;
  /** Empty without the header, null for several headers of this name. */
  header(name: string): string | null;
  /** As soleAuthorization returns it. */
  authorization(): string | null;
  address(): string;
};

export type FastAnswer = {
  status: number;
  /** Names and values in turn. */
  headers: string[];
  /** HTTP/1.1 sends an ASCII text in one piece with the headers. */
  body: Buffer | string | null;
  /** The trailers of gRPC, after the body. */
  trailers: Record<string, string> | null;
};

export type FastCall = {
  /** The length of the whole body, computed from its start. Negative when Connect must answer this request. */
  bodyLength(start: Buffer): number;
  /** Null when Connect must answer this request. */
  answer(body: Buffer): FastAnswer | null;
  /** The deadline header for Connect, with the time that remains. Null for a call without a deadline. */
  remainingTimeout(): { name: string; value: string } | null;
  /** The response to a body that ends too early: Connect could not read it again. */
  rejectTruncated(body: Buffer | null): FastAnswer;
};

/** Returns null for requests that the fast path does not answer. */
export type FastHandler = (head: FastHead) => FastCall | null;
