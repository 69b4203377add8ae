// Encodes header blocks (RFC 7541) without a dynamic table. A block then means the same on every connection at any time,
// so that frequent ones are encoded once.
import { STATIC_TABLE } from './static-table.ts';

const INDEXED = 0x80;
const WITHOUT_INDEXING = 0x00;
/** For secrets: no intermediary may put them into a table (section 7.1.3). */
const NEVER_INDEXED = 0x10;
const SECRETS = ['authorization', 'cookie', 'set-cookie'];
const INVALID_NAME = /[^!#$%&'*+\-.^_`|~0-9a-z]/;
const INVALID_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

const indexOfField = new Map<string, number>();
const indexOfName = new Map<string, number>();
for (const [at, { name, value }] of STATIC_TABLE.entries()) {
  indexOfField.set(`${name} ${value}`, at + 1);
  if (!indexOfName.has(name)) indexOfName.set(name, at + 1);
}

/** An integer takes five bytes at most, and a field has three of them. */
const MOST_BESIDE_TEXTS = 16;

/**
 * @param status null for trailers
 * @param fields names in lower case and values in turn
 * @throws TypeError for a name or a value that HTTP does not allow
 */
export function encodeHeaders(status: number | null, fields: readonly string[]): Buffer {
  let most = MOST_BESIDE_TEXTS;
  for (const text of fields) most += text.length + MOST_BESIDE_TEXTS / 2;
  const into = Buffer.allocUnsafe(most);
  let at = status === null ? 0 : writeField(into, 0, ':status', String(status));
  for (let n = 0; n < fields.length; n += 2) at = writeChecked(into, at, fields[n] as string, fields[n + 1] as string);
  return into.subarray(0, at);
}

/**
 * @returns a copy of the block with one more field
 * @throws TypeError as encodeHeaders
 */
export function appendField(block: Buffer, name: string, value: string): Buffer {
  const into = Buffer.allocUnsafe(block.length + name.length + value.length + MOST_BESIDE_TEXTS);
  into.set(block);
  return into.subarray(0, writeChecked(into, block.length, name, value));
}

function writeChecked(into: Buffer, at: number, name: string, value: string): number {
  if (name === '' || INVALID_NAME.test(name)) throw new TypeError(`invalid name of a header: ${JSON.stringify(name)}`);
  if (INVALID_VALUE.test(value)) throw new TypeError(`the value of the header ${name} has invalid characters`);
  return writeField(into, at, name, value);
}

function writeField(into: Buffer, start: number, name: string, value: string): number {
  const index = indexOfName.get(name) ?? 0;
  const known = index === 0 ? undefined : indexOfField.get(`${name} ${value}`);
  if (known !== undefined) return writeInteger(into, start, known, 7, INDEXED);
  const form = SECRETS.includes(name) ? NEVER_INDEXED : WITHOUT_INDEXING;
  const at = writeInteger(into, start, index, 4, form);
  return writeText(into, index === 0 ? writeText(into, at, name) : at, value);
}

function writeText(into: Buffer, start: number, text: string): number {
  const at = writeInteger(into, start, text.length, 7, 0);
  return at + into.write(text, at, 'latin1');
}

/** Section 5.1. @param flags the bits of the first byte beside the integer */
function writeInteger(into: Buffer, start: number, value: number, prefixBits: number, flags: number): number {
  const full = 2 ** prefixBits - 1;
  if (value < full) {
    into[start] = flags | value;
    return start + 1;
  }
  into[start] = flags | full;
  let [at, rest] = [start + 1, value - full];
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) into[at++] = (rest % 0x80) | 0x80;
  into[at] = rest;
  return at + 1;
}
