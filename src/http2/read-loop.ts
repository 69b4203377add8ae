// Reads a socket in turns of the event loop. A turn ends after a number of frames and streams, so that one connection
// cannot hold the others up, and reading stops while the client does not read.
import type { Duplex } from 'node:stream';
import type { FrameReader } from './frame-reader.ts';
import type { Limits } from './limits.ts';
import type { Output } from './output.ts';

type TurnLimits = Pick<Limits, 'maxStreamsPerTurn' | 'maxFramesPerTurn'>;

export class ReadLoop {
  /** performance.now() at the start of this turn. */
  now = performance.now();
  readonly #socket: Duplex;
  readonly #output: Output;
  readonly #reader: FrameReader;
  readonly #limits: TurnLimits;
  readonly #guard: (work: () => void) => void;
  readonly #readNext: () => void;
  #chunk: Buffer | null = null;
  #streams = 0;
  #frames = 0;
  #isTurnDue = false;
  #isStopped = false;

  /** @param guard runs the work of a turn, and handles its errors */
  constructor(
    socket: Duplex,
    output: Output,
    { reader, limits, guard }: { reader: FrameReader; limits: TurnLimits; guard: (work: () => void) => void },
  ) {
    this.#socket = socket;
    this.#output = output;
    this.#reader = reader;
    this.#limits = limits;
    this.#guard = guard;
    this.#readNext = () => {
      const chunk = this.#chunk;
      this.#chunk = null;
      if (this.#reader.read(chunk)) this.#continueLater();
    };
    socket.on('data', (chunk: Buffer) => this.#turn(chunk));
  }

  countStream(): void {
    this.#streams += 1;
  }

  /** Called before each frame. */
  mayContinue(): boolean {
    const { maxStreamsPerTurn, maxFramesPerTurn } = this.#limits;
    this.#frames += 1;
    return (
      this.#streams < maxStreamsPerTurn &&
      this.#frames <= maxFramesPerTurn &&
      !this.#output.isBlocked &&
      !this.#isStopped
    );
  }

  /** The client reads again. */
  onDrain(): void {
    if (!this.#output.isBlocked) this.#continue();
  }

  /** Later bytes of the client are dropped. */
  stop(): void {
    this.#isStopped = true;
    this.#socket.removeAllListeners('data');
    this.#socket.resume();
  }

  #turn(chunk: Buffer | null): void {
    if (this.#isStopped) return;
    this.now = performance.now();
    this.#streams = 0;
    this.#frames = 0;
    this.#chunk = chunk;
    this.#output.isHeld = true;
    this.#guard(this.#readNext);
    this.#output.isHeld = false;
    this.#output.flush();
    if (this.#output.isBlocked && !this.#isStopped) this.#socket.pause();
  }

  /** Other connections get their turn first. */
  #continueLater(): void {
    if (this.#isStopped) return;
    this.#socket.pause();
    if (this.#output.isBlocked || this.#isTurnDue) return;
    this.#isTurnDue = true;
    setImmediate(() => {
      this.#isTurnDue = false;
      this.#continue();
    });
  }

  #continue(): void {
    this.#socket.resume();
    this.#turn(null);
  }
}
