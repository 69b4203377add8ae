/** Ids of streams that the server has reset. Frames that the client sent before it saw the reset are ignored. */
const REMEMBERED_RESETS = 250;

/** The ids of the streams that a client has opened (RFC 9113 section 5.1.1). */
export class StreamIds {
  last = 0;
  /** The ids that the client has skipped most recently: they were never opened. */
  #skippedFrom = 0;
  #skippedTo = 0;
  readonly #reset = new Set<number>();

  open(streamId: number): void {
    if (streamId > this.last + 2) [this.#skippedFrom, this.#skippedTo] = [this.last + 1, streamId - 1];
    this.last = streamId;
  }

  isSkipped(streamId: number): boolean {
    return streamId >= this.#skippedFrom && streamId <= this.#skippedTo;
  }

  /** Whether the server has reset it, and recently. */
  wasReset(streamId: number): boolean {
    return this.#reset.has(streamId);
  }

  rememberReset(streamId: number): void {
    this.#reset.add(streamId);
    if (this.#reset.size <= REMEMBERED_RESETS) return;
    const [oldest = 0] = this.#reset;
    this.#reset.delete(oldest);
  }
}
