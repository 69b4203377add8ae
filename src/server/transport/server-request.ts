// A request on its way through the handlers, and its time limits. Only a stream without an end may last longer.
import { ERROR } from '../../http2/protocol.ts';
import type { StreamReceiver } from '../../http2/stream-receiver.ts';
import { BodyPieces } from './body-pieces.ts';
import { DISCONNECTED } from './disconnected.ts';
import type { Peer } from './peer.ts';
import { ServerResponse } from './server-response.ts';
import type { RequestHead, ServerStream } from './server-stream.ts';

/** Time that a connection has to show its protocol, and a request to arrive. */
export const STALL_TIMEOUT_MS = 10_000;
/** From the first byte of a request to the last byte of its response: a client can refuse to read it. */
const TOTAL_TIMEOUT_MS = 20_000;

export type BodyReader = {
  /** @param piece must be copied to be kept */
  onData(piece: Buffer): void;
  onEnd(): void;
};

export class ServerRequest implements StreamReceiver {
  readonly headers: RequestHead;
  readonly peer: Peer;
  readonly response: ServerResponse;
  readonly #stream: ServerStream;
  readonly #abort = new AbortController();
  #closeListeners: (() => void)[] = [];
  #reader: BodyReader | null = null;
  #arrivesUntil: number;
  #endsUntil: number;
  /** performance.now() since when the client of a lasting response has not read. */
  #blockedAt = Number.POSITIVE_INFINITY;

  constructor(stream: ServerStream) {
    const now = performance.now();
    this.#stream = stream;
    this.headers = stream.headers;
    this.peer = stream.context;
    this.response = new ServerResponse(stream);
    this.#arrivesUntil = stream.isRequestComplete ? Number.POSITIVE_INFINITY : now + STALL_TIMEOUT_MS;
    this.#endsUntil = now + TOTAL_TIMEOUT_MS;
    this.#setDeadline();
    stream.receive(this, true);
  }

  get method(): string {
    return this.headers.method;
  }

  /** Path and query. */
  get url(): string {
    return this.headers.path;
  }

  get path(): string {
    return this.url.split('?', 1)[0] ?? '';
  }

  /** performance.now() when the head of the request arrived. */
  get openedAt(): number {
    return this.#stream.openedAt;
  }

  get httpVersion(): string {
    return this.#stream.httpVersion;
  }

  /** Aborted when the client disconnects before it has its response. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Called once, when nothing follows. */
  onceClosed(listener: () => void): void {
    if (this.#stream.isClosed) listener();
    else this.#closeListeners.push(listener);
  }

  read(reader: BodyReader): void {
    this.#reader = reader;
    this.#stream.resume();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  get isClosed(): boolean {
    return this.#stream.isClosed;
  }

  /** Drops the body. */
  discard(): void {
    this.read({ onData() {}, onEnd() {} });
  }

  /** Throws when the client disconnects before the end. */
  pieces(): AsyncIterableIterator<Buffer> {
    return new BodyPieces(this);
  }

  /** The response is a stream without an end. It ends only when its reader stalls. */
  answerLasts(): void {
    this.#stream.isLasting = true;
    this.#endsUntil = Number.POSITIVE_INFINITY;
    this.#setDeadline();
  }

  /** The request is a stream without an end. */
  requestLasts(): void {
    this.#stream.isEndless = true;
    this.#arrivesUntil = Number.POSITIVE_INFINITY;
    this.#setDeadline();
  }

  onData(piece: Buffer): void {
    this.#reader?.onData(piece);
  }

  onEnd(): void {
    this.#arrivesUntil = Number.POSITIVE_INFINITY;
    this.#setDeadline();
    this.#reader?.onEnd();
  }

  onDrain(): void {
    this.#blockedAt = Number.POSITIVE_INFINITY;
    this.response.onDrain();
  }

  onDeadline() {
    const now = performance.now();
    const isStalled = this.#stream.isBlocked && now - this.#blockedAt >= STALL_TIMEOUT_MS;
    if (now >= this.#arrivesUntil || now >= this.#endsUntil || isStalled) return this.#stream.reset(ERROR.CANCEL);
    if (this.#stream.isBlocked) this.#blockedAt = Math.min(this.#blockedAt, now);
    this.#setDeadline();
  }

  onClose(): void {
    if (!this.response.isSent) this.#abort.abort(DISCONNECTED);
    this.response.onDrain();
    for (const listener of this.#closeListeners) listener();
    this.#closeListeners = [];
  }

  #setDeadline(): void {
    const next = this.#stream.isLasting ? performance.now() + STALL_TIMEOUT_MS : Number.POSITIVE_INFINITY;
    this.#stream.deadline = Math.min(this.#arrivesUntil, this.#endsUntil, next);
  }
}
