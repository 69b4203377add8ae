// The engine of src/http2 and its clients in memory: frames go in as bytes, and everything that comes out is kept.
import { Duplex } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { HeaderBlock } from '../../src/http2/hpack/header-block.ts';
import type { Limits } from '../../src/http2/limits.ts';
import { createHttp2Server, type Http2Server, type Http2ServerOptions } from '../../src/http2/server.ts';
import type { Http2Stream } from '../../src/http2/stream.ts';
import type { StreamReceiver } from '../../src/http2/stream-receiver.ts';
import { type Frame, parseFrames, SETTINGS } from '../support/frames.ts';
import { HTTP2_PREFACE, http2Frame } from '../support/raw.ts';
import { wordsOf } from './frame-words.ts';

const DAY_MS = 86_400_000;
/** Turns of the event loop without a change, after which nothing follows. */
const QUIET_TURNS = 3;

/** The engine's end of a connection. */
class MemorySocket extends Duplex {
  readonly writes: Buffer[] = [];
  /** Whether the client takes bytes. */
  #isRead = true;
  #taken: (() => void) | null = null;

  override _read(): void {}

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.writes.push(chunk);
    if (this.#isRead) done();
    else this.#taken = done;
  }

  override _final(done: () => void): void {
    done();
  }

  setRead(isRead: boolean): void {
    this.#isRead = isRead;
    if (isRead) this.takeOne();
  }

  /** The client takes one write. */
  takeOne(): void {
    const taken = this.#taken;
    this.#taken = null;
    taken?.();
  }
}

export class Client {
  readonly socket: MemorySocket;
  isClosed = false;
  #rest: Buffer = Buffer.alloc(0);
  #parsedWrites = 0;

  /** @param highWaterMark bytes that the socket accepts before it is full */
  constructor(highWaterMark?: number) {
    this.socket = new MemorySocket(highWaterMark === undefined ? {} : { writableHighWaterMark: highWaterMark });
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** The bytes arrive in one read. Resolves when the engine has finished with them. */
  async send(...bytes: Buffer[]): Promise<void> {
    if (!this.socket.destroyed) this.socket.push(Buffer.concat(bytes));
    await this.settle();
  }

  /** Waits until nothing more happens. */
  async settle(): Promise<void> {
    const { socket } = this;
    const look = () => `${socket.writes.length} ${socket.readableLength} ${socket.closed}`;
    for (let [before, quiet] = ['', 0]; quiet < QUIET_TURNS; quiet += 1) {
      await nextTurn();
      // A paused socket whose client reads belongs to a turn that goes on.
      if (look() !== before || (socket.isPaused() && !socket.writableNeedDrain && !socket.destroyed)) quiet = 0;
      before = look();
    }
  }

  /** @returns the frames that have come since the last call */
  frames(): Frame[] {
    const { writes } = this.socket;
    const bytes = Buffer.concat([this.#rest, ...writes.slice(this.#parsedWrites)]);
    this.#parsedWrites = writes.length;
    const frames = parseFrames(bytes);
    this.#rest = bytes.subarray(frames.reduce((sum, { payload }) => sum + 9 + payload.length, 0));
    return frames;
  }

  /** @returns the frames since the last call in words, such as `RST_STREAM 1 CANCEL` */
  words(): string[] {
    return wordsOf(this.frames());
  }

  /** Sends in one read. @returns the answer in words */
  async exchange(...bytes: Buffer[]): Promise<string[]> {
    await this.send(...bytes);
    return this.words();
  }
}

/** A request that the engine serves, with what happened to it. */
export class Exchange implements StreamReceiver {
  readonly stream: Http2Stream<string>;
  readonly events: string[] = [];
  readonly pieces: Buffer[] = [];
  onEvent: (event: string) => void = () => {};

  constructor(stream: Http2Stream<string>) {
    this.stream = stream;
  }

  get body(): Buffer {
    return Buffer.concat(this.pieces);
  }

  /** Sends a whole response. */
  answer(body = 'ok', trailers: string[] | null = null): void {
    this.stream.respond(OK);
    this.stream.end(Buffer.from(body), trailers && new HeaderBlock(null, trailers));
  }

  onData(piece: Buffer): void {
    this.pieces.push(Buffer.from(piece));
    this.#add(`data ${piece.length}`);
  }

  onEnd(): void {
    this.#add('end');
  }

  onDrain(): void {
    this.#add('drain');
  }

  onDeadline(): void {
    this.#add('deadline');
  }

  onClose(): void {
    this.#add('close');
  }

  #add(event: string): void {
    this.events.push(event);
    this.onEvent(event);
  }
}

export const OK = new HeaderBlock(200, []);

export type EngineOptions = Partial<Omit<Http2ServerOptions<string>, 'limits' | 'onStream'>> & {
  limits?: Partial<Limits>;
  /** Without one, each request is answered when it is complete. */
  onRequest?: (exchange: Exchange) => void;
};

export class Engine {
  readonly server: Http2Server<string>;
  /** Every request so far. */
  readonly exchanges: Exchange[] = [];
  readonly defects: unknown[] = [];

  constructor({ onRequest = answerAtEnd, ...options }: EngineOptions = {}) {
    this.server = createHttp2Server<string>({
      idleMs: DAY_MS,
      pingEveryMs: DAY_MS,
      pingTimeoutMs: DAY_MS,
      graceMs: DAY_MS,
      onDefect: (error) => this.defects.push(error),
      ...options,
      onStream: (stream) => {
        const exchange = new Exchange(stream);
        this.exchanges.push(exchange);
        onRequest(exchange);
      },
    });
  }

  get last(): Exchange {
    return this.exchanges.at(-1) as Exchange;
  }

  /** @returns a client that has exchanged settings */
  async connect(options: { maxAgeMs?: number; highWaterMark?: number; settings?: Buffer } = {}): Promise<Client> {
    const client = this.open(options);
    await client.send(options.settings ? MAGIC : HTTP2_PREFACE, options.settings ?? NOTHING, SETTINGS_ACK);
    client.frames();
    return client;
  }

  /** @returns a client that has sent nothing */
  open(options: { maxAgeMs?: number; highWaterMark?: number } = {}): Client {
    const client = new Client(options.highWaterMark);
    this.server.serve(client.socket, 'context', options.maxAgeMs ?? Number.POSITIVE_INFINITY);
    return client;
  }
}

const NOTHING = Buffer.alloc(0);
const SETTINGS_ACK = http2Frame(SETTINGS, 1, 0);
/** The first part of the preface, before SETTINGS. */
export const MAGIC = HTTP2_PREFACE.subarray(0, 24);

/** Answers with the method, the path and the length of the body. */
export function answerAtEnd(exchange: Exchange): void {
  const { stream } = exchange;
  exchange.onEvent = (event) => {
    if (event === 'end') exchange.answer(`${stream.headers.method} ${stream.headers.path} ${exchange.body.length}`);
  };
  stream.receive(exchange);
}

/** The rest is for the test. */
export function hold(exchange: Exchange): void {
  exchange.stream.receive(exchange);
}
