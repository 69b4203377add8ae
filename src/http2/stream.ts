// One request and its response.
//
//   state                 until then                          next state
//   open                  the request ends (END_STREAM)       half-closed-remote
//   open                  the response ends                   half-closed-local
//   half-closed-remote    the response ends                   closed
//   half-closed-local     the request ends, or its time       closed
//   any                   RST_STREAM of either side           closed
//
// (RFC 9113 section 5.1; idle streams and reserved ones need no object.)
import type { HeaderBlock } from './hpack/header-block.ts';
import type { HeaderList } from './hpack/header-list.ts';
import { ConnectionError, ERROR, type ErrorCode, MAX_31_BITS, MAX_FRAME_BYTES, NO_BYTES } from './protocol.ts';
import { ReceiveWindow } from './receive-window.ts';
import { SendQueue } from './send-queue.ts';
import type { StreamHead, StreamOwner } from './stream-owner.ts';
import type { StreamReceiver } from './stream-receiver.ts';
import { UnreadBody } from './unread-body.ts';

type State = 'open' | 'half-closed-remote' | 'half-closed-local' | 'closed';

export class Http2Stream<Context = unknown> {
  readonly id: number;
  readonly headers: HeaderList;
  /** The value that the connection was opened with. */
  readonly context: Context;
  /** performance.now() when the headers arrived. */
  readonly openedAt: number;
  /** performance.now() of the next `onDeadline`. */
  deadline = Number.POSITIVE_INFINITY;
  /** Whether the body may have any number of pieces, because it lasts as long as the stream. */
  isEndless = false;
  /** Whether the response has no end. */
  isLasting = false;
  readonly #owner: StreamOwner;
  #state: State;
  #receiver: StreamReceiver | null = null;
  #isPaused = false;
  #isEndDelivered = false;
  #handedBack: Buffer | null = null;
  #unread: UnreadBody | null = null;
  #received = 0;
  #pieces = 0;
  #discarded = 0;
  readonly #receiveWindow: ReceiveWindow;
  #sendWindow: number;
  hasResponded = false;
  #queue: SendQueue | null = null;
  #isEnding = false;
  /** Whether the whole response was handed to the socket. */
  isResponseSent = false;
  #trailers: HeaderBlock | null = null;

  constructor(owner: StreamOwner, head: StreamHead<Context>, isRequestComplete: boolean) {
    this.#owner = owner;
    this.id = head.id;
    this.headers = head.headers;
    this.context = head.context;
    this.openedAt = owner.now;
    this.#sendWindow = head.sendWindow;
    this.#receiveWindow = new ReceiveWindow(owner.limits.streamWindow);
    this.#state = isRequestComplete ? 'half-closed-remote' : 'open';
  }

  get httpVersion(): string {
    return '2.0';
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get isRequestComplete(): boolean {
    return this.#state === 'half-closed-remote' || this.#state === 'closed';
  }

  get isBlocked(): boolean {
    return this.#queue !== null;
  }

  /** Delivers the body to this receiver from now on. */
  receive(receiver: StreamReceiver, isPaused = false): void {
    this.#receiver = receiver;
    this.#isPaused = isPaused;
    this.#deliver();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  /** Puts a piece back, for the next receiver. Nothing is delivered until there is one. */
  handBack(piece: Buffer | null): void {
    this.#receiver = null;
    this.#isEndDelivered = false;
    this.#handedBack = piece;
  }

  onData(bytes: Buffer, start: number, end: number, flowLength: number, isEnd: boolean) {
    const { limits } = this.#owner;
    const length = end - start;
    this.#received += length;
    this.#pieces += 1;
    const { contentLength } = this.headers;
    if (this.isRequestComplete) return this.#fault(ERROR.STREAM_CLOSED, flowLength);
    if (!this.#receiveWindow.take(flowLength)) return this.#fault(ERROR.FLOW_CONTROL_ERROR, flowLength);
    if (contentLength >= 0 && (isEnd ? this.#received !== contentLength : this.#received > contentLength))
      return this.#fault(ERROR.PROTOCOL_ERROR, flowLength);
    if (this.#pieces > limits.maxBodyPieces && !this.isEndless)
      throw new ConnectionError(ERROR.ENHANCE_YOUR_CALM, 'the body has too many pieces');
    if (this.#state === 'half-closed-local') return this.#discard(flowLength, isEnd);
    if (isEnd) this.#state = 'half-closed-remote';
    if (length === 0) this.#credit(flowLength);
    else if (this.#receiver && !this.#isPaused && !this.#unread && !this.#handedBack) {
      this.#credit(flowLength);
      this.#receiver.onData(bytes.subarray(start, end));
    } else {
      this.#credit(flowLength - length);
      this.#unread ??= new UnreadBody();
      this.#unread.add(bytes.subarray(start, end));
    }
    if (isEnd) this.#deliver();
  }

  /** Their content is of no use here. */
  onTrailers(trailers: HeaderList, isEnd: boolean) {
    const { contentLength } = this.headers;
    if (this.isRequestComplete) return this.#fault(ERROR.STREAM_CLOSED, 0);
    const isComplete = contentLength < 0 || contentLength === this.#received;
    if (!isEnd || !trailers.isTrailers || !isComplete) return this.#fault(ERROR.PROTOCOL_ERROR, 0);
    if (this.#state === 'half-closed-local') return this.#discard(0, true);
    this.#state = 'half-closed-remote';
    this.#deliver();
  }

  /** By the client, or because the connection has ended. */
  onReset(): void {
    this.#close(false);
  }

  #deliver(): void {
    const first = this.#handedBack;
    if (first && this.#receiver && !this.#isPaused) {
      this.#handedBack = null;
      if (first.length > 0) this.#receiver.onData(first);
    }
    while (this.#unread && this.#receiver && !this.#isPaused) {
      const piece = this.#unread.take();
      if (this.#unread.length === 0) this.#unread = null;
      this.#credit(piece.length);
      this.#receiver.onData(piece);
    }
    if (this.#state !== 'half-closed-remote' || this.#unread || this.#handedBack || this.#isPaused) return;
    if (!this.#receiver || this.#isEndDelivered) return;
    this.#isEndDelivered = true;
    this.#receiver.onEnd();
  }

  /** After the response: the rest of a body is read for a short time, because clients finish sending first. */
  #discard(flowLength: number, isEnd: boolean): void {
    this.#credit(flowLength);
    this.#discarded += flowLength;
    if (isEnd) this.#close(false);
    else if (this.#discarded > this.#owner.limits.maxDiscardedBytes) this.reset(ERROR.NO_ERROR);
  }

  #credit(bytes: number): void {
    this.#owner.flow.credit(bytes);
    const increment = this.isRequestComplete ? 0 : this.#receiveWindow.credit(bytes);
    if (increment > 0) this.#owner.output.windowUpdate(this.id, increment);
  }

  #dropUnread(): void {
    if (this.#unread) this.#credit(this.#unread.length);
    this.#unread = null;
  }

  #fault(code: ErrorCode, flowLength: number): void {
    this.#owner.flow.credit(flowLength);
    this.#owner.countFault();
    this.reset(code);
  }

  /** @throws TypeError for an invalid header */
  respond(head: HeaderBlock, isEnd = false): void {
    if (this.isClosed || this.hasResponded) return;
    this.hasResponded = true;
    this.#owner.output.headers(this.id, head.bytes, isEnd);
    if (!isEnd) return;
    this.#isEnding = true;
    this.#endResponse();
  }

  /**
   * @param bytes must not change until they have left
   * @returns false when the client must read first; `onDrain` follows
   */
  write(bytes: Uint8Array): boolean {
    if (bytes.length > 0 && !this.#isEnding) this.#send(bytes);
    return this.#queue === null;
  }

  end(bytes: Uint8Array | null = null, trailers: HeaderBlock | null = null): void {
    if (this.isClosed || this.#isEnding) return;
    this.#isEnding = true;
    this.#trailers = trailers;
    if (bytes && bytes.length > 0) this.#send(bytes);
    else if (!this.#queue) this.#finish(false);
  }

  reset(code: ErrorCode): void {
    if (this.isClosed) return;
    this.#owner.output.reset(this.id, code);
    this.#close(true);
  }

  /** @returns false when the window would be larger than allowed */
  addSendWindow(bytes: number): boolean {
    this.#sendWindow += bytes;
    return this.#sendWindow <= MAX_31_BITS;
  }

  /** Called when a window or the socket has room again. */
  pump(): void {
    if (!this.#queue) return;
    this.#pump();
    if (!this.#queue && !this.#isEnding && !this.isClosed) this.#receiver?.onDrain();
  }

  /** Sends as much as the windows allow. */
  #pump() {
    const owner = this.#owner;
    while (this.#queue) {
      const most = Math.min(this.#sendWindow, owner.flow.sendWindow, MAX_FRAME_BYTES);
      if (most <= 0 || owner.output.isBlocked) return owner.flow.wait(this);
      const part = this.#queue.take(most);
      if (this.#queue.isEmpty) this.#queue = null;
      this.#data(part);
    }
  }

  #send(bytes: Uint8Array) {
    const { output, flow } = this.#owner;
    if (this.isClosed) return;
    const fits = bytes.length <= Math.min(this.#sendWindow, flow.sendWindow, MAX_FRAME_BYTES) && !output.isBlocked;
    if (!this.#queue && fits) return this.#data(bytes);
    const isWaiting = this.#queue !== null;
    this.#queue ??= new SendQueue();
    this.#queue.add(bytes);
    if (!isWaiting) this.#pump();
  }

  #data(bytes: Uint8Array): void {
    const isLast = this.#isEnding && !this.#queue;
    this.#sendWindow -= bytes.length;
    this.#owner.flow.sendWindow -= bytes.length;
    const isEnd = isLast && !this.#trailers;
    this.#owner.output.data(this.id, bytes, isEnd);
    if (isLast) this.#finish(isEnd);
  }

  #finish(isEndSent: boolean): void {
    const { output } = this.#owner;
    if (this.#trailers) output.headers(this.id, this.#trailers.bytes, true);
    else if (!isEndSent) output.data(this.id, NO_BYTES, true);
    this.#endResponse();
  }

  #endResponse() {
    this.isResponseSent = true;
    if (this.#state === 'half-closed-remote') return this.#close(false);
    this.#state = 'half-closed-local';
    this.deadline = performance.now() + this.#owner.limits.discardMs;
    this.#dropUnread();
  }

  /** Called when `deadline` has passed. */
  onDeadline(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    // Section 8.1: the response is complete, and the client need not send the rest.
    if (this.#state === 'half-closed-local') this.reset(ERROR.NO_ERROR);
    else this.#receiver?.onDeadline();
  }

  /** @param isReset by the server */
  #close(isReset: boolean): void {
    if (this.isClosed) return;
    this.#state = 'closed';
    this.#queue = null;
    this.#dropUnread();
    this.#owner.closed(this, isReset);
    this.#receiver?.onClose();
  }
}
