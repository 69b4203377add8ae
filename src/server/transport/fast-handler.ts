// The seam between a connection and the fast path: a request's head and body go in, an answer comes out.

/** The parts of a request that arrive before its body. */
type FastHead = {
  isHttp2: boolean;
  method: string;
  path: string;
  /** The name by which the caller knows this server. */
  host: string;
  /** Empty when it is missing, null when it comes more than once. */
  header(name: string): string | null;
  /** As of soleAuthorization. */
  authorization(): string | null;
  address(): string;
};

export type FastAnswer = {
  status: number;
  /** Names and values in turn. */
  headers: string[];
  /** A text, in ASCII, goes out in one piece with its headers over HTTP/1.1. */
  body: Buffer | string | null;
  /** gRPC's, which follow the body. */
  trailers: Record<string, string> | null;
};

export type FastCall = {
  /** The length of the whole body as far as its beginning tells; negative when this has to be answered by Connect. */
  bodyLength(start: Buffer): number;
  /** Null when this has to be answered by Connect. */
  answer(body: Buffer): FastAnswer | null;
  /** The answer to a body that ends before it is whole: nobody else can read it any more. */
  refuseCut(body: Buffer | null): FastAnswer;
};

/** Null for what is not answered here. */
export type FastHandler = (head: FastHead) => FastCall | null;
