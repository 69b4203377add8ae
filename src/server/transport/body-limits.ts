// Bodies in pieces of a few bytes: each piece costs as much as a good part of a call, and thousands of them, which come in one
// read of the socket, would hold up all other calls.
import { IncomingMessage } from 'node:http';
import { constants, Http2ServerRequest, type ServerHttp2Stream } from 'node:http2';

/** The largest body, a batch of 1 MiB, in pieces of 1 KiB; usual pieces are larger. */
const MAX_CHUNKS = 1_024;

/** Whether that is too many. Their sender is not served any further. */
export function areTooMany(chunks: number, stream: ServerHttp2Stream): boolean {
  if (chunks <= MAX_CHUNKS) return false;
  stream.session?.destroy(new Error('a body in too many pieces'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  return true;
}

export class ChunkCountingHttp2Request extends Http2ServerRequest {
  #chunks = 0;

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    this.#chunks += 1;
    if (chunk !== null && areTooMany(this.#chunks, this.stream)) return false;
    return super.push(chunk, encoding);
  }
}

export class ChunkCountingHttp1Request extends IncomingMessage {
  #chunks = 0;
  /** Bytes; null while the body is wanted. */
  #leftToDiscard: number | null = null;

  /**
   * Takes the rest of the body and forgets it. Node does so with one that nobody has begun to read; who gave one up in its
   * middle left the connection stopped, and the next request on it would never be read.
   * @param maxBytes beyond which the connection is closed
   */
  discard(maxBytes: number): void {
    this.#leftToDiscard = maxBytes;
    this.resume();
    this.socket?.resume();
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    this.#chunks += 1;
    if (chunk !== null && this.#chunks > MAX_CHUNKS) {
      this.socket.destroy();
      return false;
    }
    if (chunk === null || this.#leftToDiscard === null) return super.push(chunk, encoding);
    this.#leftToDiscard -= (chunk as Buffer).length;
    if (this.#leftToDiscard < 0) this.socket.destroy();
    return true;
  }
}
