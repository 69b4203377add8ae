// The HPACK encoder and decoder of node:http2 as functions: its client on a connection in memory, whose other end reads
// the frames and sends its own.
import http2 from 'node:http2';
import { type Duplex, duplexPair } from 'node:stream';
import {
  ACK,
  CONTINUATION,
  END_HEADERS,
  END_STREAM,
  HEADERS,
  parseFrames,
  SETTINGS,
  settings,
} from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';

/** Names and values in turn. */
export type RawHeaders = readonly string[];
export type Block = { streamId: number; bytes: Buffer };

const MAX_PAIRS = 2_000;
const PRIORITY = 32;
/** The first part of the preface. node:http2 writes it at once. */
const MAGIC_BYTES = 24;
const MAX_BLOCK = 2 ** 20;
const HEADER_TABLE_SIZE = 1;
const MAX_FRAME = 16_384;

export class NodeCodec {
  readonly #session: http2.ClientHttp2Session;
  readonly #far: Duplex;
  #rest: Buffer = Buffer.alloc(0);
  #isGreeted = false;
  #settingsAcks = 0;
  #open: Block | null = null;
  #blocks: Block[] = [];
  readonly #decoded = new Map<number, Promise<RawHeaders>>();
  #onChange = () => {};
  #failure: Error | null = null;

  constructor() {
    const [near, far] = duplexPair();
    this.#far = far;
    far.on('data', (chunk: Buffer) => this.#receive(chunk));
    const options = { maxHeaderListPairs: MAX_PAIRS, maxSendHeaderBlockLength: MAX_BLOCK };
    const limits = { maxHeaderListSize: MAX_BLOCK };
    this.#session = http2.connect('http://localhost', {
      ...options,
      settings: limits,
      createConnection: () => near,
    } as http2.ClientSessionOptions);
    this.#session.on('error', (error) => {
      this.#failure = error;
      this.#onChange();
    });
    far.write(settings());
  }

  /** @param bytes the most that the table of node's encoder may have from now on */
  async resizeTable(bytes: number): Promise<void> {
    const acks = this.#settingsAcks;
    this.#far.write(settings([HEADER_TABLE_SIZE, bytes]));
    await this.#until(() => this.#settingsAcks > acks);
  }

  /** Encodes header lists of requests, in this order on one dynamic table. */
  async encode(lists: readonly RawHeaders[]): Promise<Block[]> {
    this.#blocks = [];
    const all = lists.map((list) => {
      const stream = this.#session.request(list as never, { endStream: true });
      stream.on('error', () => {});
      const decoded = new Promise<RawHeaders>((resolve, reject) => {
        stream.on('response', (_, __, raw) => resolve(raw as unknown as RawHeaders));
        stream.on('close', () => reject(new Error('node:http2 rejects the response')));
      });
      decoded.catch(() => {});
      return { stream, decoded };
    });
    await this.#until(() => this.#blocks.length === lists.length);
    for (const { stream, decoded } of all) this.#decoded.set(stream.id ?? 0, decoded);
    return this.#blocks;
  }

  /** Decodes blocks of responses, on streams of `encode`. */
  async decode(blocks: readonly Block[]): Promise<RawHeaders[]> {
    const frames = blocks.flatMap(({ streamId, bytes }) => {
      const parts: Buffer[] = [];
      for (let at = 0; at === 0 || at < bytes.length; at += MAX_FRAME) parts.push(bytes.subarray(at, at + MAX_FRAME));
      return parts.map((part, n) => {
        const flags = (n === 0 ? END_STREAM : 0) | (n === parts.length - 1 ? END_HEADERS : 0);
        return http2Frame(n === 0 ? HEADERS : CONTINUATION, flags, streamId, part);
      });
    });
    this.#far.write(Buffer.concat(frames));
    return Promise.all(blocks.map(({ streamId }) => this.#decoded.get(streamId) as Promise<RawHeaders>));
  }

  close(): void {
    this.#session.destroy();
    this.#far.destroy();
  }

  #receive(chunk: Buffer): void {
    const bytes = Buffer.concat([this.#rest, chunk]);
    let read = this.#isGreeted ? 0 : MAGIC_BYTES;
    this.#isGreeted = true;
    for (const { type, flags, streamId, payload } of parseFrames(bytes.subarray(read))) {
      read += 9 + payload.length;
      if (type === SETTINGS && flags === ACK) this.#settingsAcks += 1;
      if (type !== HEADERS && type !== CONTINUATION) continue;
      // node:http2 adds a priority of five bytes to HEADERS, with this flag.
      const block = type === HEADERS && (flags & PRIORITY) !== 0 ? payload.subarray(5) : payload;
      this.#open = { streamId, bytes: Buffer.concat([this.#open?.bytes ?? Buffer.alloc(0), block]) };
      if ((flags & END_HEADERS) === 0) continue;
      this.#blocks.push(this.#open);
      this.#open = null;
    }
    this.#rest = bytes.subarray(read);
    this.#onChange();
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#failure) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
    }
  }
}
