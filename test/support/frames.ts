// HTTP/2 by hand (RFC 9113, RFC 7541): frames that no library would send, and the frames that return.
import { http2Frame } from './raw.ts';

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RESET = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

/** A flag of DATA and HEADERS. The same bit means ACK in SETTINGS and PING. */
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;

export type Field = [name: string, value: string];

export function request(path: string, method = 'POST'): Field[] {
  return [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'localhost'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ];
}

/** @param flags keep the stream open by default */
export function headers(streamId: number, block: Field[] | Buffer, flags = END_HEADERS): Buffer {
  return http2Frame(HEADERS, flags, streamId, Buffer.isBuffer(block) ? block : fields(...block));
}

export function fields(...all: Field[]): Buffer {
  return Buffer.concat(all.map(([name, value]) => Buffer.concat([Buffer.from([0]), text(name), text(value)])));
}

/** Adds the field to the dynamic table. */
export function remembered([name, value]: Field): Buffer {
  return Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);
}

/** RFC 7541 section 5.1. @param flags the bits of the first byte besides the integer */
export function integer(value: number, prefixBits: number, flags = 0): Buffer {
  const full = 2 ** prefixBits - 1;
  if (value < full) return Buffer.from([flags | value]);
  const bytes = [flags | full];
  let rest = value - full;
  for (; rest >= 0x80; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [n, value] of values.entries()) bytes.writeUInt32BE(value, 4 * n);
  return bytes;
}

export function settings(...entries: [id: number, value: number][]): Buffer {
  return http2Frame(
    SETTINGS,
    0,
    0,
    Buffer.concat(entries.flatMap(([id, value]) => [Buffer.from([0, id]), uint32(value)])),
  );
}

/** The header of a frame. Any payload can follow it. */
export function frameHead(length: number, type: number, streamId: number): Buffer {
  const head = http2Frame(type, 0, streamId);
  head.writeUIntBE(length, 0, 3);
  return head;
}

export type Frame = { type: number; flags: number; streamId: number; payload: Buffer };

/** The frames that have arrived completely. */
export function parseFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    const [type, flags, streamId] = [bytes.readUInt8(at + 3), bytes.readUInt8(at + 4), bytes.readUInt32BE(at + 5)];
    frames.push({ type, flags, streamId, payload: bytes.subarray(at + 9, end) });
    at = end;
  }
  return frames;
}

function text(value: string): Buffer {
  return Buffer.concat([integer(value.length, 7), Buffer.from(value, 'latin1')]);
}
