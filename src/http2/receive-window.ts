/** A window for bytes that the client sends (RFC 9113 section 5.2). */
export class ReceiveWindow {
  readonly #size: number;
  #left: number;
  #unannounced = 0;

  constructor(size: number) {
    this.#size = size;
    this.#left = size;
  }

  /** @returns false when the client has sent more than the window allows */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /**
   * Bytes that were read make room for others.
   * @returns the increment for a WINDOW_UPDATE; 0 until half of the window was read
   */
  credit(bytes: number): number {
    this.#unannounced += bytes;
    if (2 * this.#unannounced < this.#size) return 0;
    const increment = this.#unannounced;
    this.#left += increment;
    this.#unannounced = 0;
    return increment;
  }
}
