// The interface between a connection and the fast path. Null means that Connect must answer.
import type { IncomingHttpHeaders } from 'node:http';

type FastHead = {
  isHttp2: boolean;
  method: string;
  path: string;
  host: string;
  /** Empty without the header, null for several headers of this name. */
  header(name: string): string | null;
  /** Names and values of the headers whose name begins so. */
  headersWith(prefix: string): [name: string, value: string][];
  /** Also for an empty header. */
  hasHeader(name: string): boolean;
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
  trailers: Record<string, string> | null;
};

export type FastCall = {
  /** The length of the whole body, computed from its start. Negative when Connect must answer this request. */
  bodyLength(start: Buffer): number;
  answer(body: Buffer): FastAnswer | null;
  /** The deadline header for Connect, with the time that remains. Null for a call without a deadline. */
  remainingTimeout(): { name: string; value: string } | null;
  /** The response to a body that ends too early: Connect could not read it again. */
  rejectTruncated(body: Buffer | null): FastAnswer;
};

export type FastHandler = (head: FastHead) => FastCall | null;

/** Node joins the values of a repeated header. */
export function headersWith(headers: IncomingHttpHeaders, prefix: string): [name: string, value: string][] {
  const found: [string, string][] = [];
  for (const name in headers) if (name.startsWith(prefix)) found.push([name, String(headers[name])]);
  return found;
}
