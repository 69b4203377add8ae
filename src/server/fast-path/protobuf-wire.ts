// Protobuf's wire format by hand, for the few messages that are read and written tens of thousands of times a second.
// It reads only the plain form of a message; the library reads all others. It writes field numbers below 16, and each
// writer returns the next offset.
import { isAscii } from 'node:buffer';

const VARINT = 0;
const LENGTH_DELIMITED = 2;

/**
 * For messages whose fields are all ASCII texts and flags.
 * @param onFlag receives a `bool` field that is set
 * @returns false for any other message, for more than `maxFields`, or once a callback returns false
 */
export function readFields(
  message: Buffer,
  maxFields: number,
  onText: (field: number, text: string) => boolean,
  onFlag: (field: number) => boolean,
): boolean {
  let at = 0;
  for (let left = maxFields; at < message.length; left -= 1) {
    if (left === 0) return false;
    const tag = message[at++] as number;
    if (tag >= 0x80) return false;
    if ((tag & 7) === VARINT) {
      if (message[at++] !== 1 || !onFlag(tag >> 3)) return false;
      continue;
    }
    if ((tag & 7) !== LENGTH_DELIMITED) return false;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++];
      if (byte === undefined || shift > 21) return false;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const end = at + length;
    if (end > message.length || !isAscii(message.subarray(at, end))) return false;
    if (!onText(tag >> 3, message.toString('latin1', at, end))) return false;
    at = end;
  }
  return true;
}

export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

function writeVarint(into: Buffer, at: number, value: number): number {
  let rest = value;
  let next = at;
  while (rest >= 0x80) {
    into[next++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  into[next++] = rest;
  return next;
}

export function writeVarintField(into: Buffer, at: number, field: number, value: number): number {
  into[at] = (field << 3) | VARINT;
  return writeVarint(into, at + 1, value);
}

export function writeLength(into: Buffer, at: number, field: number, length: number): number {
  into[at] = (field << 3) | LENGTH_DELIMITED;
  return writeVarint(into, at + 1, length);
}

export function lengthDelimitedSize(length: number): number {
  return 1 + varintSize(length) + length;
}
