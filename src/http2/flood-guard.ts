import { Allowance, type Limits } from './limits.ts';
import { ConnectionError, ERROR } from './protocol.ts';

/** gRPC clients send a PING and a WINDOW_UPDATE with many of their calls. */
const FREE_FRAMES_PER_RESPONSE = 4;

/** Counts what a client can send without end. Each method throws when the client has sent too much. */
export class FloodGuard {
  readonly #resets: Allowance;
  readonly #controlFrames: Allowance;

  constructor({ resets, controlFrames }: Pick<Limits, 'resets' | 'controlFrames'>) {
    this.#resets = new Allowance(resets);
    this.#controlFrames = new Allowance(controlFrames);
  }

  /** A stream ends without a result (CVE-2023-44487, CVE-2025-8671). */
  countFault(nowMs: number): void {
    if (!this.#resets.take(nowMs)) calm('too many streams end without a result');
  }

  /** CVE-2019-9512, 9515, 9518. */
  countControlFrame(nowMs: number): void {
    if (!this.#controlFrames.take(nowMs)) calm('too many frames without a request');
  }

  onResponse(): void {
    this.#controlFrames.giveBack(FREE_FRAMES_PER_RESPONSE);
  }
}

function calm(message: string): never {
  throw new ConnectionError(ERROR.ENHANCE_YOUR_CALM, message);
}
