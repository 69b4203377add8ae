// A connection of HTTP/1.1. A request that memory can answer is answered before node:http reads it, because the reading
// alone costs more than the answer. The request must be plain, nothing else may have arrived, and all earlier requests
// must have their answers. node:http gets everything else unchanged. It also gets the first request of a connection:
// its time limit for a first request ends only with one.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastAnswer, FastCall, FastHandler } from './fast-handler.ts';
import { endOfHead, type PlainHead, readPlainHead } from './http1-plain-head.ts';
import { Http1Requests } from './http1-requests.ts';
import { MAX_TEXT_BYTES, responseText } from './http1-response-text.ts';
import { peerOf } from './peer.ts';
import { READ_TIMEOUT_MS, WAIT_FOR_BODY_MS } from './serve-fast.ts';

/** No usual client sends many requests before the first response, but node:http would serve them all. */
const MAX_UNANSWERED = 16;
/** Larger ones are rare, and left to node:http. */
const MAX_HEAD_BYTES = 16 * 1024;

export type Http1ConnectionOptions = {
  fastPath: FastHandler;
  /** Time that an idle connection stays open. */
  keepAliveMs: number;
  /** Age at which the connection takes no further requests. */
  maxAgeMs: number;
  isClosing(): boolean;
  /** Receives a defect that has ended the connection. */
  onDefect(error: unknown): void;
};

type Outcome = 'answered' | 'body missing' | 'left to node:http';

export class Http1Connection {
  readonly #socket: Socket;
  readonly #options: Http1ConnectionOptions;
  readonly #readByNode: (chunk: Buffer) => void;
  readonly #retireAt: number;
  readonly #requests = new Http1Requests();
  #answered = 0;
  #unanswered = 0;
  /** performance.now() when the head of the current request arrived. */
  arrivedAt = 0;
  /** A head and what has arrived of its body. node:http gets both when the rest is late. */
  #held: Buffer | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Whether the client has yet to read an answer that memory gave. */
  #isUnread = false;
  readonly #onRead = () => {
    this.#isUnread = false;
  };
  #readTimer: NodeJS.Timeout | null = null;

  /** @param socket that node:http has begun to serve, and of which it has read nothing yet */
  constructor(socket: Socket, options: Http1ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#retireAt = performance.now() + options.maxAgeMs;
    const [readByNode] = socket.listeners('data') as ((chunk: Buffer) => void)[];
    if (!readByNode) throw new Error('node:http does not listen to the socket');
    this.#readByNode = readByNode;
    socket.removeListener('data', readByNode);
    socket.on('data', (chunk: Buffer) => {
      try {
        this.#onData(chunk);
      } catch (error) {
        options.onDefect(error);
        socket.destroy();
      }
    });
    socket.prependListener('end', () => this.#release());
    socket.once('close', () => {
      for (const timer of [this.#timer, this.#readTimer]) clearTimeout(timer ?? undefined);
    });
  }

  /**
   * Counts a request that node:http has read.
   * @returns whether to serve it; too many unanswered ones close the connection
   */
  admit(request: IncomingMessage, response: ServerResponse): boolean {
    // node:http continues with requests from the same read after the connection is closed.
    if (request.socket.destroyed) return false;
    this.#unanswered += 1;
    if (this.#unanswered > MAX_UNANSWERED) {
      request.socket.destroy();
      return false;
    }
    response.shouldKeepAlive &&= !this.#isRetired;
    response.once('close', () => {
      this.#unanswered -= 1;
      this.#answered += 1;
    });
    return true;
  }

  get #isRetired(): boolean {
    return this.#options.isClosing() || performance.now() > this.#retireAt;
  }

  get #isIdle(): boolean {
    return this.#answered > 0 && this.#unanswered === 0 && this.#requests.isAtEnd && this.#socket.writableLength === 0;
  }

  #onData(chunk: Buffer): void {
    const held = this.#held;
    this.#held = null;
    if (!held) this.arrivedAt = performance.now();
    const bytes = held ? Buffer.concat([held, chunk]) : chunk;
    const outcome = this.#isIdle && !this.#isRetired ? this.#answer(bytes) : 'left to node:http';
    if (outcome === 'answered') return;
    if (outcome === 'body missing' && !held) this.#hold(bytes);
    else this.#leave(bytes);
  }

  #leave(bytes: Buffer): void {
    this.#requests.add(bytes);
    this.#readByNode.call(this.#socket, bytes);
  }

  #hold(bytes: Buffer): void {
    this.#held = bytes;
    if (this.#timer) this.#timer.refresh();
    else this.#timer = setTimeout(() => this.#release(), WAIT_FOR_BODY_MS).unref();
  }

  #release(): void {
    const held = this.#held;
    this.#held = null;
    if (held) this.#leave(held);
  }

  #answer(bytes: Buffer): Outcome {
    const end = endOfHead(bytes, 0);
    const plain = end < 0 || end > MAX_HEAD_BYTES ? null : readPlainHead(bytes, 0, end);
    const call = plain && this.#begin(plain);
    const missing = plain ? end + plain.bodyLength - bytes.length : -1;
    if (!call || missing < 0) return 'left to node:http';
    if (missing > 0) return 'body missing';
    const body = bytes.subarray(end);
    if (body.length > 0 && call.bodyLength(body) !== body.length) return 'left to node:http';
    const answer = call.answer(body);
    if (!answer) return 'left to node:http';
    this.#write(answer);
    return 'answered';
  }

  #write({ head, body }: FastAnswer): void {
    const { keepAliveMs } = this.#options;
    this.#isUnread = true;
    if (!body || body.length <= MAX_TEXT_BYTES)
      this.#socket.write(responseText(head, body, keepAliveMs), 'latin1', this.#onRead);
    else {
      this.#socket.cork();
      this.#socket.write(responseText(head, null, keepAliveMs), 'latin1');
      this.#socket.write(body, this.#onRead);
      this.#socket.uncork();
    }
    if (this.#socket.writableLength > 0) this.#limitReading();
  }

  #limitReading(): void {
    if (this.#readTimer) this.#readTimer.refresh();
    else
      this.#readTimer = setTimeout(() => {
        if (this.#isUnread) this.#socket.destroy();
      }, READ_TIMEOUT_MS).unref();
  }

  #begin({ head, bodyLength }: PlainHead): FastCall | null {
    // node:http drops the body of its answer.
    if (head.method === 'HEAD') return null;
    return this.#options.fastPath({
      headers: head,
      peer: peerOf(this.#socket),
      openedAt: this.arrivedAt,
      isHttp2: false,
      isComplete: bodyLength === 0,
    });
  }
}
