/** Bytes of a response that wait for a window, or for the socket. */
export class SendQueue {
  readonly #pieces: Uint8Array[] = [];
  /** Bytes of the first piece that were sent. */
  #sent = 0;

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  add(piece: Uint8Array): void {
    this.#pieces.push(piece);
  }

  /** Removes the next bytes, at most this many. */
  take(most: number): Uint8Array {
    const [first = new Uint8Array()] = this.#pieces;
    const end = this.#sent + most;
    const part = first.subarray(this.#sent, end);
    if (end < first.length) this.#sent = end;
    else {
      this.#pieces.shift();
      this.#sent = 0;
    }
    return part;
  }
}
