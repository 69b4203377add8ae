// Protobuf's wire format by hand, for the few messages that are read and written tens of thousands of times a second.
// It reads only the plain form of a message; the library reads all others. It writes field numbers below 16, and each
// writer returns the next offset.
import { isAscii } from 'node:buffer';
import type { KnownNames } from './known-names.ts';

const VARINT = 0;
const LENGTH_DELIMITED = 2;

/** The fields of a message, one after the other. */
export class WireFields {
  /** The number of the current field. */
  number = 0;
  /** Whether the field has a length: a message, a text, bytes. Otherwise it is a number. */
  isMessage = false;
  /** Whether the message ended with a whole field, and had at most as many as allowed. */
  isWhole = true;
  readonly #bytes: Buffer;
  #end: number;
  #at: number;
  /** The value of the current field. */
  #from = 0;
  #to = 0;
  #left: number;

  constructor(bytes: Buffer, start: number, end: number, maxFields: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#left = maxFields;
  }

  /** @returns false at the end, and for a form that it does not read: then `isWhole` is false */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    const tag = this.#bytes[this.#at++] as number;
    const type = tag & 7;
    this.number = tag >> 3;
    this.isMessage = type === LENGTH_DELIMITED;
    this.#left -= 1;
    if (tag >= 0x80 || this.number === 0 || this.#left < 0) return this.#stop();
    if (type === VARINT) {
      this.#from = this.#at;
      return this.#skipVarint() || this.#stop();
    }
    const length = type === LENGTH_DELIMITED ? this.#length() : -1;
    this.#from = this.#at;
    this.#to = this.#at + length;
    if (length < 0 || this.#to > this.#end) return this.#stop();
    this.#at = this.#to;
    return true;
  }

  /** @param reused of the same bytes, in the place of a new object for each of many fields */
  inner(reused: WireFields | null = null): WireFields {
    if (!reused) return new WireFields(this.#bytes, this.#from, this.#to, this.#left);
    reused.isWhole = true;
    reused.#at = this.#from;
    reused.#end = this.#to;
    reused.#left = this.#left;
    return reused;
  }

  /** Bytes of the current field. */
  get length(): number {
    return this.#to - this.#from;
  }

  /** Null unless it is ASCII. */
  text(): string | null {
    return isAsciiIn(this.#bytes, this.#from, this.#to) ? this.#bytes.toString('latin1', this.#from, this.#to) : null;
  }

  /** Null unless it is ASCII. */
  ascii(): AsciiText | null {
    return isAsciiIn(this.#bytes, this.#from, this.#to) ? new AsciiText(this.#bytes, this.#from, this.#to) : null;
  }

  /** @returns as `KnownNames.find` */
  nameAmong(names: KnownNames): string | null {
    return names.find(this.#bytes, this.#from, this.#to);
  }

  /** The current field as a number. -1 for one that is too large. */
  get varint(): number {
    let value = 0;
    for (let n = 0; n < MAX_SMALL_VARINT_BYTES; n += 1) {
      const byte = this.#bytes[this.#from + n] as number;
      value |= (byte & 0x7f) << (7 * n);
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** A length. -1 for one that is too large. */
  #length(): number {
    let value = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#at < this.#end ? (this.#bytes[this.#at++] as number) : 0x80;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  #skipVarint(): boolean {
    const last = Math.min(this.#at + MAX_VARINT_BYTES, this.#end);
    while (this.#at < last) if ((this.#bytes[this.#at++] as number) < 0x80) return true;
    return false;
  }

  #stop(): false {
    this.isWhole = false;
    this.#at = this.#end;
    return false;
  }
}

const MAX_VARINT_BYTES = 10;
const MAX_SMALL_VARINT_BYTES = 4;
const SHORT = 48;

/** A call into node costs more than a short loop. */
function isAsciiIn(bytes: Buffer, from: number, to: number): boolean {
  if (to - from > SHORT) return isAscii(bytes.subarray(from, to));
  for (let at = from; at < to; at += 1) if ((bytes[at] as number) >= 0x80) return false;
  return true;
}

/** A text that is made only when it is needed. */
export class AsciiText {
  readonly #bytes: Buffer;
  readonly #from: number;
  readonly #to: number;

  constructor(bytes: Buffer, from: number, to: number) {
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
  }

  toString(): string {
    return this.#bytes.toString('latin1', this.#from, this.#to);
  }
}

/**
 * For messages whose fields are all ASCII texts and small numbers. A `bool` is a number too.
 * @param onNumber receives 1 for a `bool` that is set, and -1 for a number that is too large
 * @returns false for any other message, for more than `maxFields`, or once a callback returns false
 */
export function readFields(
  message: Buffer,
  start: number,
  maxFields: number,
  onText: (field: number, text: string) => boolean,
  onNumber: (field: number, value: number) => boolean,
): boolean {
  const fields = new WireFields(message, start, message.length, maxFields);
  while (fields.next()) {
    if (fields.isMessage) {
      const text = fields.text();
      if (text === null || !onText(fields.number, text)) return false;
    } else if (!onNumber(fields.number, fields.varint)) return false;
  }
  return fields.isWhole;
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
