// The windows of a connection, and the streams that wait for one (RFC 9113 section 5.2).
import type { Output } from './output.ts';
import { ConnectionError, DEFAULT_WINDOW, ERROR, MAX_31_BITS } from './protocol.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { Http2Stream } from './stream.ts';

export class FlowControl {
  /** Bytes that the connection may still send. */
  sendWindow = DEFAULT_WINDOW;
  /** The send window of a new stream. */
  initialSendWindow = DEFAULT_WINDOW;
  readonly #output: Output;
  readonly #receiveWindow: ReceiveWindow;
  readonly #waiting = new Set<Http2Stream>();

  constructor(output: Output, receiveWindow: number) {
    this.#output = output;
    this.#receiveWindow = new ReceiveWindow(receiveWindow);
  }

  receive(bytes: number): void {
    if (!this.#receiveWindow.take(bytes)) overflow('DATA exceeds the window of the connection');
  }

  /** Bytes that were read make room for others. */
  credit(bytes: number): void {
    const increment = this.#receiveWindow.credit(bytes);
    if (increment > 0) this.#output.windowUpdate(0, increment);
  }

  /** By a WINDOW_UPDATE. */
  addSendWindow(increment: number): void {
    if (increment === 0) throw new ConnectionError(ERROR.PROTOCOL_ERROR, 'a window grows by 0');
    this.sendWindow += increment;
    if (this.sendWindow > MAX_31_BITS) overflow('a window is too large');
    this.resume();
  }

  /** By a setting, which also changes the windows of the open streams (section 6.9.2). */
  setInitialSendWindow(size: number, streams: Iterable<Http2Stream>): void {
    const change = size - this.initialSendWindow;
    this.initialSendWindow = size;
    for (const stream of streams) if (!stream.addSendWindow(change)) overflow('a setting makes a window too large');
    this.resume();
  }

  /** The stream waits for a window, or for the socket. */
  wait(stream: Http2Stream): void {
    this.#waiting.add(stream);
  }

  forget(stream: Http2Stream): void {
    this.#waiting.delete(stream);
  }

  /** Lets the waiting streams send. One that still cannot send all waits again, behind the others. */
  resume(): void {
    for (const stream of [...this.#waiting]) {
      if (this.sendWindow <= 0 || this.#output.isBlocked) return;
      this.#waiting.delete(stream);
      stream.pump();
    }
  }
}

function overflow(message: string): never {
  throw new ConnectionError(ERROR.FLOW_CONTROL_ERROR, message);
}
