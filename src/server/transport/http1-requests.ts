import { ownCopy } from '../../http2/own-copy.ts';
import { endOfHead, readPlainHead } from './http1-plain-head.ts';

/** node:http ends a connection whose head is larger. */
const MAX_KEPT_BYTES = 64 * 1024;
/** An incomplete head is copied and searched again at each piece. */
const MAX_PIECES = 16;

/** Follows the bytes that node:http reads, to know whether they end with a whole request. */
export class Http1Requests {
  #head: Buffer | null = null;
  /** Pieces of the incomplete head. */
  #pieces = 0;
  /** Bytes of the current body that are missing. */
  #missing = 0;
  #isLost = false;

  /** After a request that is not in the plain form it stays false. */
  get isAtEnd(): boolean {
    return !this.#isLost && !this.#head && this.#missing === 0;
  }

  add(chunk: Buffer) {
    if (this.#isLost) return;
    const bytes = this.#head ? Buffer.concat([this.#head, chunk]) : chunk;
    this.#head = null;
    for (let at = this.#skipBody(bytes, 0); at < bytes.length; at = this.#skipBody(bytes, at)) {
      const end = endOfHead(bytes, at);
      if (end < 0) return this.#keep(bytes.subarray(at));
      const plain = readPlainHead(bytes, at, end);
      if (!plain) return this.#lose();
      this.#missing = plain.bodyLength;
      this.#pieces = 0;
      at = end;
    }
  }

  #skipBody(bytes: Buffer, at: number): number {
    const skipped = Math.min(this.#missing, bytes.length - at);
    this.#missing -= skipped;
    return at + skipped;
  }

  #keep(start: Buffer): void {
    this.#pieces += 1;
    if (start.length > MAX_KEPT_BYTES || this.#pieces > MAX_PIECES) this.#lose();
    else this.#head = ownCopy(start, 0, start.length);
  }

  #lose(): void {
    this.#isLost = true;
  }
}
