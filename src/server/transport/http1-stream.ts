// Requests of node:http in the form of ServerStream.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HeaderBlock } from '../../http2/hpack/header-block.ts';
import type { StreamReceiver } from '../../http2/stream-receiver.ts';
import { Http1Head } from './http1-head.ts';
import { latin1Of, MAX_TEXT_BYTES } from './http1-response-text.ts';
import type { Peer } from './peer.ts';
import type { ServerStream } from './server-stream.ts';

/** Enough for the largest body, a batch of 1 MiB, in pieces of 1 KiB. Usual pieces are larger. */
const MAX_PIECES = 1_024;
/** Bytes of a body that are read and dropped after the response. More of them close the connection. */
const MAX_DISCARDED_BYTES = 2 * 1024 * 1024;
/** Time for the rest of a body after the response. */
const DISCARD_MS = 500;
/** The precision of deadlines. */
const CHECK_EVERY_MS = 50;

/** Streams with a deadline. */
const watched = new Set<Http1Stream>();
let timer: NodeJS.Timeout | undefined;

export class Http1Stream implements ServerStream {
  readonly headers: Http1Head;
  readonly context: Peer;
  readonly openedAt: number;
  isEndless = false;
  isLasting = false;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #receiver: StreamReceiver | null = null;
  #deadline = Number.POSITIVE_INFINITY;
  #unread: Buffer[] = [];
  #pieces = 0;
  #isReading = false;
  /** Node can still emit the end of a paused request. */
  #isPaused = true;
  #isRequestComplete = false;
  #isEndDelivered = false;
  #bytesToDiscard: number | null = null;
  /** The time for discarding has passed. The rest of the body may have arrived while this process was busy. */
  #isLastCheck = false;
  #isClosed = false;

  /** @param openedAt performance.now() when the head of the request arrived */
  constructor(request: IncomingMessage, response: ServerResponse, peer: Peer, openedAt = performance.now()) {
    this.#request = request;
    this.#response = response;
    this.headers = Http1Head.of(request);
    this.context = peer;
    this.openedAt = openedAt;
    // Node reads and drops a body that has not been touched when the response ends.
    this.#isRequestComplete = !hasBody(request);
    response.on('close', () => this.#close());
  }

  get httpVersion(): string {
    return this.#request.httpVersion;
  }

  get deadline(): number {
    return this.#deadline;
  }

  set deadline(at: number) {
    this.#deadline = at;
    if (at === Number.POSITIVE_INFINITY || this.#isClosed) watched.delete(this);
    else {
      watched.add(this);
      timer ??= setInterval(checkDeadlines, CHECK_EVERY_MS).unref();
    }
  }

  get isClosed(): boolean {
    return this.#isClosed || this.#request.socket.destroyed;
  }

  get isRequestComplete(): boolean {
    return this.#isRequestComplete;
  }

  get hasResponded(): boolean {
    return this.#response.headersSent;
  }

  get isResponseSent(): boolean {
    return this.#response.writableFinished;
  }

  get isBlocked(): boolean {
    return this.#response.writableLength > 0;
  }

  receive(receiver: StreamReceiver, isPaused = false): void {
    this.#receiver = receiver;
    if (isPaused) this.pause();
    else this.resume();
  }

  pause(): void {
    this.#isPaused = true;
    if (this.#isReading) this.#request.pause();
  }

  resume() {
    this.#isPaused = false;
    while (this.#unread.length > 0 && this.#receiver && !this.#isPaused)
      this.#receiver.onData(this.#unread.shift() as Buffer);
    if (this.#isPaused) return;
    if (this.#isRequestComplete) return this.#deliverEnd();
    if (!this.#isReading) this.#read();
    this.#request.resume();
  }

  handBack(piece: Buffer | null): void {
    this.#receiver = null;
    this.#isEndDelivered = false;
    if (piece && piece.length > 0) this.#unread.unshift(piece);
    this.pause();
  }

  respond(head: HeaderBlock, isEnd = false): void {
    if (this.isClosed || this.hasResponded) return;
    this.#response.writeHead(head.status ?? 200, head.fields as string[]);
    if (isEnd) this.end();
  }

  write(bytes: Uint8Array): boolean {
    if (this.isClosed || bytes.length === 0 || this.#response.write(bytes)) return true;
    this.#response.once('drain', () => this.#receiver?.onDrain());
    return false;
  }

  end(bytes: Uint8Array | null = null, trailers: HeaderBlock | null = null): void {
    if (this.isClosed || this.#response.writableEnded) return;
    if (trailers) this.#response.addTrailers(pairsOf(trailers.fields));
    if (bytes) this.#endWith(bytes);
    else this.#response.end();
    if (!this.#isRequestComplete) this.#discard();
  }

  /** Node sends a text in one write with the head, and bytes in a second one. */
  #endWith(bytes: Uint8Array): void {
    if (bytes.length > MAX_TEXT_BYTES) this.#response.end(bytes);
    else this.#response.end(latin1Of(bytes), 'latin1');
  }

  reset(): void {
    this.#request.socket.destroy();
  }

  onDeadline(): void {
    if (this.#bytesToDiscard !== null && !this.#isLastCheck) {
      this.#isLastCheck = true;
      this.#deadline = performance.now() + CHECK_EVERY_MS;
      return;
    }
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.#bytesToDiscard !== null) this.reset();
    else this.#receiver?.onDeadline();
  }

  #read(): void {
    this.#isReading = true;
    this.#request.on('data', (piece: Buffer) => this.#onData(piece));
    this.#request.on('end', () => {
      this.#isRequestComplete = true;
      if (this.#bytesToDiscard !== null) this.deadline = Number.POSITIVE_INFINITY;
      else this.#deliverEnd();
    });
  }

  #onData(piece: Buffer) {
    this.#pieces += 1;
    if (this.#pieces > MAX_PIECES && !this.isEndless) return this.reset();
    if (this.#bytesToDiscard !== null) {
      this.#bytesToDiscard -= piece.length;
      if (this.#bytesToDiscard < 0) this.reset();
    } else if (this.#receiver && !this.#isPaused) this.#receiver.onData(piece);
    else this.#unread.push(piece);
  }

  #deliverEnd(): void {
    if (!this.#receiver || this.#isPaused || this.#isEndDelivered) return;
    this.#isEndDelivered = true;
    this.#receiver.onEnd();
  }

  /** Otherwise the connection would stop, and its next request would never be read. */
  #discard(): void {
    this.#bytesToDiscard = MAX_DISCARDED_BYTES;
    this.#unread = [];
    if (!this.#isReading) this.#read();
    this.#request.resume();
    this.deadline = performance.now() + DISCARD_MS;
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#bytesToDiscard === null || this.#request.socket.destroyed) watched.delete(this);
    this.#receiver?.onClose();
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function pairsOf(fields: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at < fields.length; at += 2) pairs.push([fields[at] as string, fields[at + 1] as string]);
  return pairs;
}

function checkDeadlines(): void {
  const now = performance.now();
  for (const stream of watched) if (now >= stream.deadline) stream.onDeadline();
  if (watched.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
