import { NO_BYTES } from './protocol.ts';

/** Up to this size, pieces that follow each other share a buffer. */
const SHARED_BYTES = 1_024;

/** Bytes of a body that nothing has read. Small pieces become one, because a buffer costs more than a hundred bytes. */
export class UnreadBody {
  readonly #pieces: Buffer[] = [];
  /** The memory of the last piece, when others can follow in it. */
  #shared: Buffer | null = null;
  length = 0;

  /** Copies the piece. */
  add(piece: Buffer): void {
    this.length += piece.length;
    const last = this.#pieces.at(-1);
    if (!last || last.length + piece.length > SHARED_BYTES) {
      this.#pieces.push(Buffer.from(piece));
      this.#shared = null;
      return;
    }
    if (!this.#shared) {
      this.#shared = Buffer.allocUnsafeSlow(SHARED_BYTES);
      last.copy(this.#shared);
    }
    piece.copy(this.#shared, last.length);
    this.#pieces[this.#pieces.length - 1] = this.#shared.subarray(0, last.length + piece.length);
  }

  /** Removes the first piece. */
  take(): Buffer {
    const first = this.#pieces.shift() ?? NO_BYTES;
    if (this.#pieces.length === 0) this.#shared = null;
    this.length -= first.length;
    return first;
  }
}
