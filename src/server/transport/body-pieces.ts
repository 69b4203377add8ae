// The body of a request as an iterable. Written by hand, because an async generator costs several times as much.
import { DISCONNECTED } from './disconnected.ts';
import type { BodyReader } from './server-request.ts';

type Source = {
  readonly isClosed: boolean;
  onceClosed(listener: () => void): void;
  read(reader: BodyReader): void;
  pause(): void;
  resume(): void;
};

type Waiting = { resolve(result: IteratorResult<Buffer>): void; reject(reason: unknown): void };

export class BodyPieces implements AsyncIterableIterator<Buffer>, BodyReader {
  readonly #source: Source;
  readonly #pieces: Buffer[] = [];
  #isReading = false;
  #isEnded = false;
  #waiting: Waiting | null = null;

  constructor(source: Source) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer>> {
    if (!this.#isReading && !this.#isEnded) this.#start();
    const piece = this.#pieces.shift();
    if (piece) return Promise.resolve({ value: piece, done: false });
    if (this.#isEnded) return Promise.resolve(END);
    if (this.#source.isClosed) return Promise.reject(DISCONNECTED);
    const next = new Promise<IteratorResult<Buffer>>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    this.#source.resume();
    return next;
  }

  /** The caller has stopped. */
  return(): Promise<IteratorResult<Buffer>> {
    this.#pieces.length = 0;
    this.onEnd();
    this.#source.pause();
    return Promise.resolve(END);
  }

  onData(piece: Buffer): void {
    this.#source.pause();
    if (this.#isEnded) return;
    const value = Buffer.from(piece);
    if (this.#waiting) this.#settle({ value, done: false });
    else this.#pieces.push(value);
  }

  onEnd(): void {
    this.#isEnded = true;
    this.#settle(END);
  }

  #start(): void {
    this.#isReading = true;
    this.#source.onceClosed(() => this.#waiting?.reject(DISCONNECTED));
    this.#source.read(this);
  }

  #settle(result: IteratorResult<Buffer>): void {
    this.#waiting?.resolve(result);
    this.#waiting = null;
  }
}

const END: IteratorResult<Buffer> = { value: undefined, done: true };
