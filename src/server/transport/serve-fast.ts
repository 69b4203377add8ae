// Passes streams to the fast path. A stream that it does not answer continues to the handlers unchanged.
import { ERROR } from '../../http2/protocol.ts';
import type { StreamReceiver } from '../../http2/stream-receiver.ts';
import type { FastAnswer, FastCall, FastHandler } from './fast-handler.ts';
import type { ServerStream } from './server-stream.ts';

/** A body usually arrives with its headers. The code with the limits on waiting requests takes over one that does not. */
export const WAIT_FOR_BODY_MS = 100;
/** Time for the client to read an answer. */
export const READ_TIMEOUT_MS = 10_000;
const NO_BYTES = Buffer.alloc(0);

export type ServeStream = (stream: ServerStream) => void;

export function serveFast(fastPath: FastHandler, serve: ServeStream): ServeStream {
  return (stream) => {
    const { headers, context: peer, openedAt, isRequestComplete: isComplete } = stream;
    const isHttp2 = stream.httpVersion === '2.0';
    const call = headers.isTooLarge ? null : fastPath({ headers, peer, openedAt, isHttp2, isComplete });
    if (!call) return serve(stream);
    const receiver = new FastReceiver(stream, call, serve, isHttp2);
    if (isComplete) receiver.answerWithoutBody();
    else stream.receive(receiver);
  };
}

class FastReceiver implements StreamReceiver {
  readonly #stream: ServerStream;
  readonly #call: FastCall;
  readonly #serve: ServeStream;
  /** Over HTTP/1.1 a response before the end of the request would make the connection count as busy. */
  readonly #answersEarly: boolean;
  #body: Buffer = NO_BYTES;
  /** Used for a body that arrives in several pieces. */
  #pieces: Buffer[] | null = null;
  #missing = 0;
  #answer: FastAnswer | null = null;
  #isFinished = false;

  constructor(stream: ServerStream, call: FastCall, serve: ServeStream, answersEarly: boolean) {
    this.#stream = stream;
    this.#call = call;
    this.#serve = serve;
    this.#answersEarly = answersEarly;
    if (!stream.isRequestComplete) stream.deadline = stream.openedAt + WAIT_FOR_BODY_MS;
  }

  answerWithoutBody(): void {
    const answer = this.#call.answer(NO_BYTES);
    if (answer) this.#send(answer);
    else this.#serve(this.#stream);
  }

  onData(piece: Buffer) {
    if (this.#isFinished) return;
    if (this.#body === NO_BYTES && !this.#pieces) this.#body = piece;
    else this.#join(piece);
    if (this.#missing > 0) return;
    const whole = this.#whole();
    this.#missing = this.#call.bodyLength(whole) - whole.length;
    if (this.#missing > 0) return this.#keep();
    this.#answer = this.#missing === 0 ? this.#call.answer(whole) : null;
    if (!this.#answer) this.#handOver();
    else if (this.#answersEarly || this.#stream.isRequestComplete) this.#send(this.#answer);
  }

  onEnd(): void {
    if (this.#isFinished) return;
    const answer = this.#answer ?? this.#call.rejectTruncated(this.#whole());
    if (answer) this.#send(answer);
    else this.#handOver();
  }

  onDrain(): void {}

  onDeadline(): void {
    if (this.#isFinished) this.#stream.reset(ERROR.CANCEL);
    else if (!this.#answer) this.#handOver();
  }

  onClose(): void {}

  #send({ head, body, trailers }: FastAnswer): void {
    const stream = this.#stream;
    this.#isFinished = true;
    stream.respond(head, body === null);
    if (body !== null) stream.end(body, trailers);
    if (!stream.isClosed && stream.isBlocked) stream.deadline = performance.now() + READ_TIMEOUT_MS;
  }

  #handOver(): void {
    this.#isFinished = true;
    const stream = this.#stream;
    stream.deadline = Number.POSITIVE_INFINITY;
    stream.handBack(Buffer.from(this.#whole()));
    this.#serve(stream);
  }

  /** Joined only when needed: a body may arrive byte by byte. */
  #join(piece: Buffer): void {
    this.#pieces ??= [this.#body];
    this.#pieces.push(Buffer.from(piece));
    this.#missing -= piece.length;
  }

  #whole(): Buffer {
    if (!this.#pieces) return this.#body;
    this.#body = Buffer.concat(this.#pieces);
    this.#pieces = [this.#body];
    return this.#body;
  }

  /** The read buffer is used again. */
  #keep(): void {
    if (!this.#pieces) this.#pieces = [Buffer.from(this.#body)];
  }
}
