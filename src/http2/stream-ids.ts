import { ConnectionError, ERROR } from './protocol.ts';

/** Ids of streams that the server has reset. Frames that the client sent before it saw the reset are ignored. */
const REMEMBERED_RESETS = 250;

/** The ids of the streams that a client has opened (RFC 9113 section 5.1.1). */
export class StreamIds {
  last = 0;
  /** Whether later streams are rejected: their frames are ignored. */
  isFinal = false;
  /** The ids that the client has skipped most recently: they were never opened. */
  #skippedFrom = 0;
  #skippedTo = 0;
  readonly #reset = new Set<number>();

  open(streamId: number): void {
    if (streamId > this.last + 2) [this.#skippedFrom, this.#skippedTo] = [this.last + 1, streamId - 1];
    this.last = streamId;
  }

  /** Whether it was never opened. Even streams are those of the server, which opens none. */
  isIdle(streamId: number): boolean {
    return (streamId & 1) === 0 || (streamId > this.last && !this.isFinal);
  }

  assertNotIdle(streamId: number): void {
    if (this.isIdle(streamId)) protocol('a frame is on a stream that was not opened');
  }

  /** HEADERS on a stream that has ended. */
  onClosedStream(streamId: number): void {
    if (this.wasReset(streamId)) return;
    if (streamId >= this.#skippedFrom && streamId <= this.#skippedTo)
      protocol('a new stream has a lower id than the last one');
    throw new ConnectionError(ERROR.STREAM_CLOSED, 'the stream has ended');
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

function protocol(message: string): never {
  throw new ConnectionError(ERROR.PROTOCOL_ERROR, message);
}
