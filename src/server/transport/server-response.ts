import { HeaderBlock } from '../../http2/hpack/header-block.ts';
import { ERROR } from '../../http2/protocol.ts';
import { httpDate } from './http-date.ts';
import type { ServerStream } from './server-stream.ts';

const NO_CONTENT = 204;

/** The response of a handler, over any version of HTTP. */
export class ServerResponse {
  statusCode = 200;
  readonly #stream: ServerStream;
  /** Names and values in turn. */
  readonly #headers: string[] = [];
  #whenDrained: (() => void) | null = null;

  constructor(stream: ServerStream) {
    this.#stream = stream;
  }

  /** @param name in lower case. A list becomes several headers. */
  setHeader(name: string, value: string | number | readonly string[]): void {
    if (this.hasHeader(name)) this.#removeHeader(name);
    for (const each of Array.isArray(value) ? value : [String(value)]) this.#headers.push(name, each);
  }

  #removeHeader(name: string): void {
    for (let at = this.#headers.length - 2; at >= 0; at -= 2) {
      if (this.#headers[at] === name) this.#headers.splice(at, 2);
    }
  }

  hasHeader(name: string): boolean {
    for (let at = 0; at < this.#headers.length; at += 2) if (this.#headers[at] === name) return true;
    return false;
  }

  get isClosed(): boolean {
    return this.#stream.isClosed;
  }

  /** Whether the whole response was handed to the socket. */
  get isSent(): boolean {
    return this.#stream.isResponseSent;
  }

  /** Sends a whole response. */
  end(body: string | Uint8Array = '') {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const hasBody = this.#stream.headers.method !== 'HEAD' && this.statusCode !== NO_CONTENT;
    if (!this.hasHeader('content-length') && this.statusCode !== NO_CONTENT)
      this.setHeader('content-length', bytes.length);
    if (!hasBody || bytes.length === 0) return this.#respond(true);
    this.#respond(false);
    this.#stream.end(bytes);
  }

  /** Sends the headers of a response. @param isEmpty whether neither a body nor trailers follow */
  start(isEmpty: boolean): void {
    this.#respond(isEmpty);
  }

  /** Resolves once the client can receive more. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#stream.write(bytes) || this.isClosed) return;
    await new Promise<void>((resolve) => {
      this.#whenDrained = resolve;
    });
  }

  /** Ends a response that `start` has begun. @param trailers names and values in turn */
  finish(trailers: readonly string[]): void {
    this.#stream.end(null, trailers.length > 0 ? new HeaderBlock(null, trailers) : null);
  }

  /** Ends it without a result. */
  destroy(): void {
    this.#stream.reset(this.#stream.hasResponded ? ERROR.CANCEL : ERROR.INTERNAL_ERROR);
  }

  /** The client has read, or has disconnected. */
  onDrain(): void {
    this.#whenDrained?.();
    this.#whenDrained = null;
  }

  #respond(isEnd: boolean): void {
    const { httpVersion } = this.#stream;
    // node:http adds the date by itself.
    if (httpVersion === '2.0' && !this.hasHeader('date')) this.#headers.push('date', httpDate());
    this.#stream.respond(new HeaderBlock(this.statusCode, this.#headers), isEnd);
  }
}
