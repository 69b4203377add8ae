// Finds the frames in the bytes of a connection (RFC 9113 section 4), and checks what needs no state beyond the frame.
import { ownCopy } from './own-copy.ts';
import {
  ConnectionError,
  ERROR,
  type ErrorCode,
  FLAG,
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_31_BITS,
  MAX_FRAME_BYTES,
  PREFACE,
} from './protocol.ts';

/** Receives frames. Bytes belong to the read buffer: a receiver that keeps them must copy them. */
export type FrameHandler = {
  /** A complete header block. */
  onHeaders(streamId: number, bytes: Buffer, start: number, end: number, isEnd: boolean, dependsOn: number): void;
  /** @param flowLength the bytes that count for flow control, with the padding */
  onData(streamId: number, bytes: Buffer, start: number, end: number, flowLength: number, isEnd: boolean): void;
  onReset(streamId: number, code: number): void;
  /** At a PRIORITY frame. @param fault of the frame, for its stream alone */
  onPriority(streamId: number, fault: ErrorCode | null): void;
  onSettings(bytes: Buffer, start: number, end: number): void;
  onSettingsAck(): void;
  /** @param payload eight bytes */
  onPing(payload: Buffer, isAck: boolean): void;
  onGoAway(): void;
  onWindowUpdate(streamId: number, increment: number): void;
  /** A frame of an unknown type, or without effect. */
  onOtherFrame(): void;
};

type BlockLimits = { maxHeaderBlockBytes: number; maxContinuations: number };

/** The header block of which CONTINUATION frames are still missing. */
type OpenBlock = { streamId: number; parts: Buffer[]; length: number; isEnd: boolean; dependsOn: number };

export class FrameReader {
  readonly #handler: FrameHandler;
  readonly #limits: BlockLimits;
  readonly #mayContinue: () => boolean;
  #rest: Buffer | null = null;
  #hasPreface = false;
  #hasSettings = false;
  #block: OpenBlock | null = null;

  /** @param mayContinue called before each frame; false stops after the frames so far */
  constructor(handler: FrameHandler, limits: BlockLimits, mayContinue: () => boolean) {
    this.#handler = handler;
    this.#limits = limits;
    this.#mayContinue = mayContinue;
  }

  /**
   * @param chunk null to continue with the bytes that are left
   * @returns whether whole frames are left, because it may not continue now
   * @throws ConnectionError
   */
  read(chunk: Buffer | null): boolean {
    const rest = this.#rest;
    const bytes = rest && chunk ? Buffer.concat([rest, chunk]) : (chunk ?? rest);
    this.#rest = null;
    if (!bytes) return false;
    let at = 0;
    if (!this.#hasPreface) {
      const start = bytes.subarray(0, PREFACE.length);
      if (!start.equals(PREFACE.subarray(0, start.length))) protocol('the connection preface is invalid');
      if (start.length < PREFACE.length) return this.#keep(bytes, 0);
      this.#hasPreface = true;
      at = PREFACE.length;
    }
    for (; bytes.length - at >= FRAME_HEAD_BYTES; ) {
      const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
      if (!this.#hasSettings) this.#assertSettings(bytes, at);
      if (length > MAX_FRAME_BYTES) frameSize('a frame is larger than 16,384 bytes');
      const start = at + FRAME_HEAD_BYTES;
      const end = start + length;
      if (end > bytes.length) break;
      if (!this.#mayContinue()) {
        this.#rest = bytes.subarray(at);
        return true;
      }
      this.#hasSettings = true;
      this.#frame(bytes, at, start, end);
      at = end;
    }
    return this.#keep(bytes, at);
  }

  /** A copy, because the part of a frame would keep the whole read buffer in memory. */
  #keep(bytes: Buffer, at: number): false {
    if (at < bytes.length) this.#rest = ownCopy(bytes, at, bytes.length);
    return false;
  }

  /** Section 3.4. */
  #assertSettings(bytes: Buffer, at: number): void {
    const isSettings = bytes[at + 3] === FRAME.SETTINGS && ((bytes[at + 4] as number) & FLAG.ACK) === 0;
    if (!isSettings) protocol('the first frame is not SETTINGS');
  }

  #frame(bytes: Buffer, head: number, start: number, end: number) {
    const [type, flags] = [bytes[head + 3] as number, bytes[head + 4] as number];
    const streamId = bytes.readUInt32BE(head + 5) & MAX_31_BITS;
    if (this.#block && (type !== FRAME.CONTINUATION || streamId !== this.#block.streamId))
      protocol('a header block is interrupted');
    switch (type) {
      case FRAME.DATA:
        return this.#data(streamId, flags, bytes, start, end);
      case FRAME.HEADERS:
        return this.#headers(streamId, flags, bytes, start, end);
      case FRAME.CONTINUATION:
        return this.#continuation(flags, bytes, start, end);
      case FRAME.RST_STREAM:
        onStream(streamId);
        ofLength(end - start, 4);
        return this.#handler.onReset(streamId, bytes.readUInt32BE(start));
      case FRAME.WINDOW_UPDATE:
        ofLength(end - start, 4);
        return this.#handler.onWindowUpdate(streamId, bytes.readUInt32BE(start) & MAX_31_BITS);
      case FRAME.SETTINGS:
        return this.#settings(streamId, flags, bytes, start, end);
      case FRAME.PING:
        onConnection(streamId);
        ofLength(end - start, 8);
        return this.#handler.onPing(bytes.subarray(start, end), (flags & FLAG.ACK) !== 0);
      case FRAME.GOAWAY:
        onConnection(streamId);
        if (end - start < 8) frameSize('a GOAWAY is too short');
        return this.#handler.onGoAway();
      case FRAME.PRIORITY:
        return this.#priority(streamId, bytes, start, end);
      case FRAME.PUSH_PROMISE:
        return protocol('a client must not push');
      case FRAME.PRIORITY_UPDATE:
        return this.#priorityUpdate(streamId, bytes, start, end);
      default:
        return this.#handler.onOtherFrame();
    }
  }

  #data(streamId: number, flags: number, bytes: Buffer, start: number, end: number): void {
    onStream(streamId);
    let [from, to] = [start, end];
    if ((flags & FLAG.PADDED) !== 0) {
      to -= paddingOf(bytes, start, end);
      from += 1;
    }
    this.#handler.onData(streamId, bytes, from, to, end - start, (flags & FLAG.END_STREAM) !== 0);
  }

  #headers(streamId: number, flags: number, bytes: Buffer, start: number, end: number) {
    onStream(streamId);
    let [from, to, dependsOn] = [start, end, 0];
    if ((flags & FLAG.PADDED) !== 0) {
      to -= paddingOf(bytes, start, end);
      from += 1;
    }
    if ((flags & FLAG.PRIORITY) !== 0) {
      if (to - from < 5) frameSize('a HEADERS frame has no room for its priority');
      dependsOn = bytes.readUInt32BE(from) & MAX_31_BITS;
      from += 5;
    }
    const isEnd = (flags & FLAG.END_STREAM) !== 0;
    if ((flags & FLAG.END_HEADERS) !== 0) return this.#handler.onHeaders(streamId, bytes, from, to, isEnd, dependsOn);
    const first = ownCopy(bytes, from, to);
    this.#block = { streamId, parts: [first], length: first.length, isEnd, dependsOn };
  }

  #continuation(flags: number, bytes: Buffer, start: number, end: number) {
    const block = this.#block;
    if (!block) return protocol('a CONTINUATION continues no header block');
    block.parts.push(ownCopy(bytes, start, end));
    block.length += end - start;
    if (block.length > this.#limits.maxHeaderBlockBytes || block.parts.length > this.#limits.maxContinuations + 1)
      throw new ConnectionError(ERROR.ENHANCE_YOUR_CALM, 'a header block is too large');
    if ((flags & FLAG.END_HEADERS) === 0) return;
    this.#block = null;
    this.#handler.onHeaders(block.streamId, Buffer.concat(block.parts), 0, block.length, block.isEnd, block.dependsOn);
  }

  #settings(streamId: number, flags: number, bytes: Buffer, start: number, end: number) {
    onConnection(streamId);
    if ((flags & FLAG.ACK) !== 0) {
      ofLength(end - start, 0);
      return this.#handler.onSettingsAck();
    }
    if ((end - start) % 6 !== 0) frameSize('a setting is not complete');
    this.#handler.onSettings(bytes, start, end);
  }

  #priority(streamId: number, bytes: Buffer, start: number, end: number): void {
    onStream(streamId);
    const isWhole = end - start === 5;
    const dependsOn = isWhole ? bytes.readUInt32BE(start) & MAX_31_BITS : 0;
    const fault = dependsOn === streamId ? ERROR.PROTOCOL_ERROR : null;
    this.#handler.onPriority(streamId, isWhole ? fault : ERROR.FRAME_SIZE_ERROR);
  }

  /** RFC 9218 section 7.1. All requests have the same priority here. */
  #priorityUpdate(streamId: number, bytes: Buffer, start: number, end: number): void {
    onConnection(streamId);
    if (end - start < 4) frameSize('a PRIORITY_UPDATE is too short');
    if ((bytes.readUInt32BE(start) & MAX_31_BITS) === 0) protocol('a PRIORITY_UPDATE names no stream');
    this.#handler.onOtherFrame();
  }
}

/** Section 6.1. */
function paddingOf(bytes: Buffer, start: number, end: number): number {
  const padding = start < end ? (bytes[start] as number) : frameSize('a padded frame is empty');
  if (padding >= end - start) protocol('the padding is longer than its frame');
  return padding;
}

function onStream(streamId: number): void {
  if (streamId === 0) protocol('a frame of a stream is on stream 0');
}

function onConnection(streamId: number): void {
  if (streamId !== 0) protocol('a frame of the connection is on a stream');
}

function ofLength(length: number, expected: number): void {
  if (length !== expected) frameSize('a frame has the wrong length');
}

function protocol(message: string): never {
  throw new ConnectionError(ERROR.PROTOCOL_ERROR, message);
}

function frameSize(message: string): never {
  throw new ConnectionError(ERROR.FRAME_SIZE_ERROR, message);
}
