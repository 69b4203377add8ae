// The bytes that a connection sends. Frames of one turn of the event loop leave in one write. While the client does not
// read, the output is blocked: then the connection neither reads nor answers more.
import type { Duplex } from 'node:stream';
import { type ErrorCode, FLAG, FRAME, FRAME_HEAD_BYTES, MAX_FRAME_BYTES } from './protocol.ts';

const MIN_BYTES = 512;
/** Sets the size of the dynamic table to 0 (RFC 7541 section 6.3). */
const NO_TABLE = Buffer.from([0x20]);
/** Sent before the turn ends. */
const FLUSH_BYTES = 64 * 1024;

export class Output {
  readonly #socket: Duplex;
  readonly #onDrain: () => void;
  #bytes: Buffer | null = null;
  #length = 0;
  /** The size of the last write: the next one is probably as large. */
  #usual = MIN_BYTES;
  #isFlushDue = false;
  /** Whether a read is in progress, which ends with a flush. */
  isHeld = false;
  /** performance.now() since when the client has not read. */
  blockedAt = Number.POSITIVE_INFINITY;
  /** Whether the next header block must acknowledge the table size of the client (RFC 9113 section 4.3.1). */
  isTableUpdateDue = false;

  constructor(socket: Duplex, onDrain: () => void) {
    this.#socket = socket;
    this.#onDrain = onDrain;
    socket.on('drain', () => {
      this.blockedAt = Number.POSITIVE_INFINITY;
      this.#onDrain();
    });
  }

  get isBlocked(): boolean {
    return this.blockedAt < Number.POSITIVE_INFINITY;
  }

  /** HEADERS, with CONTINUATION frames where one is too small (RFC 9113 section 6.2). */
  headers(streamId: number, fields: Buffer, isEnd: boolean): void {
    const block = this.isTableUpdateDue ? Buffer.concat([NO_TABLE, fields]) : fields;
    this.isTableUpdateDue = false;
    const end = isEnd ? FLAG.END_STREAM : 0;
    if (block.length <= MAX_FRAME_BYTES) {
      this.#frame(FRAME.HEADERS, end | FLAG.END_HEADERS, streamId, block);
      return;
    }
    this.#frame(FRAME.HEADERS, end, streamId, block.subarray(0, MAX_FRAME_BYTES));
    for (let at = MAX_FRAME_BYTES; at < block.length; at += MAX_FRAME_BYTES) {
      const next = Math.min(at + MAX_FRAME_BYTES, block.length);
      this.#frame(FRAME.CONTINUATION, next === block.length ? FLAG.END_HEADERS : 0, streamId, block.subarray(at, next));
    }
  }

  /** At most MAX_FRAME_BYTES. */
  data(streamId: number, bytes: Uint8Array, isEnd: boolean): void {
    this.#frame(FRAME.DATA, isEnd ? FLAG.END_STREAM : 0, streamId, bytes);
  }

  reset(streamId: number, code: ErrorCode): void {
    const at = this.#begin(FRAME.RST_STREAM, 0, streamId, 4);
    this.#bytes?.writeUInt32BE(code, at);
  }

  windowUpdate(streamId: number, increment: number): void {
    const at = this.#begin(FRAME.WINDOW_UPDATE, 0, streamId, 4);
    this.#bytes?.writeUInt32BE(increment, at);
  }

  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    let at = this.#begin(FRAME.SETTINGS, 0, 0, 6 * entries.length);
    for (const [id, value] of entries) {
      this.#bytes?.writeUInt16BE(id, at);
      this.#bytes?.writeUInt32BE(value, at + 2);
      at += 6;
    }
  }

  settingsAck(): void {
    this.#begin(FRAME.SETTINGS, FLAG.ACK, 0, 0);
  }

  /** @param payload of eight bytes */
  ping(payload: Uint8Array, isAck: boolean): void {
    this.#frame(FRAME.PING, isAck ? FLAG.ACK : 0, 0, payload);
  }

  goAway(lastStreamId: number, code: ErrorCode, reason: string): void {
    const at = this.#begin(FRAME.GOAWAY, 0, 0, 8 + reason.length);
    this.#bytes?.writeUInt32BE(lastStreamId, at);
    this.#bytes?.writeUInt32BE(code, at + 4);
    this.#bytes?.write(reason, at + 8, 'latin1');
  }

  flush(): void {
    const bytes = this.#bytes;
    if (!bytes || this.#length === 0) return;
    const length = this.#length;
    this.#bytes = null;
    this.#length = 0;
    this.#usual = Math.max(MIN_BYTES, length);
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    const isTaken = this.#socket.write(length === bytes.length ? bytes : bytes.subarray(0, length));
    if (!isTaken && !this.isBlocked) this.blockedAt = performance.now();
  }

  #frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    const at = this.#begin(type, flags, streamId, payload.length);
    this.#bytes?.set(payload, at);
  }

  /** @returns the place of the payload */
  #begin(type: number, flags: number, streamId: number, length: number): number {
    if (this.#length >= FLUSH_BYTES) this.flush();
    const into = this.#reserve(FRAME_HEAD_BYTES + length);
    const at = this.#length;
    into[at] = length >>> 16;
    into[at + 1] = length >>> 8;
    into[at + 2] = length;
    into[at + 3] = type;
    into[at + 4] = flags;
    into[at + 5] = streamId >>> 24;
    into[at + 6] = streamId >>> 16;
    into[at + 7] = streamId >>> 8;
    into[at + 8] = streamId;
    this.#length = at + FRAME_HEAD_BYTES + length;
    if (!this.isHeld) this.#flushSoon();
    return at + FRAME_HEAD_BYTES;
  }

  #reserve(count: number): Buffer {
    const needed = this.#length + count;
    const bytes = this.#bytes;
    if (bytes && bytes.length >= needed) return bytes;
    const larger = Buffer.allocUnsafe(bytes ? Math.max(2 * bytes.length, needed) : Math.max(this.#usual, needed));
    if (bytes) bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
    return larger;
  }

  /** Answers that become ready in one turn of the event loop share a write. */
  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    process.nextTick(() => {
      this.#isFlushDue = false;
      this.flush();
    });
  }
}
