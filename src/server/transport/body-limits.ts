// Limits the number of pieces of a body. Each piece costs nearly as much as a call, and thousands of pieces of a few
// bytes in one read of the socket would delay all other calls.
import { IncomingMessage } from 'node:http';
import { constants, Http2ServerRequest, type ServerHttp2Stream } from 'node:http2';

/** Enough for the largest body, a batch of 1 MiB, in pieces of 1 KiB. Usual pieces are larger. */
const MAX_CHUNKS = 1_024;

/** Closes the connection of a body beyond the limit. */
export function exceedsChunkLimit(chunks: number, stream: ServerHttp2Stream): boolean {
  if (chunks <= MAX_CHUNKS) return false;
  stream.session?.destroy(new Error('the body has too many pieces'), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  return true;
}

export class ChunkCountingHttp2Request extends Http2ServerRequest {
  #chunks = 0;

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    this.#chunks += 1;
    if (chunk !== null && exceedsChunkLimit(this.#chunks, this.stream)) return false;
    return super.push(chunk, encoding);
  }
}

export class ChunkCountingHttp1Request extends IncomingMessage {
  #chunks = 0;
  #bytesToDiscard: number | null = null;

  /**
   * Node drops the rest only of a body that has not been read at all. A body that is abandoned halfway would stop the
   * connection, and its next request would never be read.
   * @param maxBytes the connection is closed after more than this
   */
  discard(maxBytes: number): void {
    this.#bytesToDiscard = maxBytes;
    this.resume();
    this.socket?.resume();
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    this.#chunks += 1;
    if (chunk !== null && this.#chunks > MAX_CHUNKS) {
      this.socket.destroy();
      return false;
    }
    if (chunk === null || this.#bytesToDiscard === null) return super.push(chunk, encoding);
    this.#bytesToDiscard -= (chunk as Buffer).length;
    if (this.#bytesToDiscard < 0) this.socket.destroy();
    return true;
  }
}
