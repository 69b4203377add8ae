// Decodes header blocks (RFC 7541). Clients send the same block for each call of a kind, so the decoder keeps the last
// few blocks with their lists: the same bytes on the same table have the same meaning.
import type { Limits } from '../limits.ts';
import { ownCopy } from '../own-copy.ts';
import { ConnectionError, ERROR, NO_BYTES } from '../protocol.ts';
import { DynamicTable } from './dynamic-table.ts';
import { Field } from './field.ts';
import { HeaderList } from './header-list.ts';
import { decodeHuffman } from './huffman.ts';
import { STATIC_TABLE } from './static-table.ts';

/** SETTINGS_HEADER_TABLE_SIZE: its default, so that it needs no setting. */
const TABLE_BYTES = 4_096;
const KEPT_BLOCKS = 4;
/** Longer blocks are not kept, so that an idle connection needs little memory. */
const MAX_KEPT_BYTES = 2_048;
/** An encoder needs two at most: the lowest size and the last one (RFC 7541 section 4.2). */
const MAX_SIZE_UPDATES = 2;
/** No index and no length comes near it. */
const MAX_INTEGER = 2 ** 28;

type KeptBlock = { bytes: Buffer; version: number; list: HeaderList };

export class HeaderDecoder {
  readonly #table = new DynamicTable(TABLE_BYTES);
  readonly #limits: Pick<Limits, 'maxHeaderListBytes' | 'maxHeaderFields'>;
  readonly #kept: KeptBlock[] = [];
  #nextKept = 0;
  #bytes = NO_BYTES;
  #at = 0;
  #end = 0;

  constructor(limits: Pick<Limits, 'maxHeaderListBytes' | 'maxHeaderFields'>) {
    this.#limits = limits;
  }

  /**
   * Reads all of the block, because later blocks depend on its changes of the table.
   * @throws ConnectionError COMPRESSION_ERROR
   */
  decode(bytes: Buffer, start: number, end: number): HeaderList {
    const { version } = this.#table;
    for (const kept of this.#kept) {
      if (kept.version === version && isEqual(kept.bytes, bytes, start, end)) return kept.list;
    }
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#resizeTable();
    const list = this.#fields();
    // An idle connection would keep its last read in memory.
    this.#bytes = NO_BYTES;
    if (this.#table.version === version && end - start <= MAX_KEPT_BYTES && list.size <= 2 * MAX_KEPT_BYTES) {
      this.#kept[this.#nextKept] = { bytes: ownCopy(bytes, start, end), version, list };
      this.#nextKept = (this.#nextKept + 1) % KEPT_BLOCKS;
    }
    return list;
  }

  #fields(): HeaderList {
    const { maxHeaderListBytes, maxHeaderFields } = this.#limits;
    const fields: Field[] = [];
    let [size, count] = [0, 0];
    while (this.#at < this.#end) {
      const field = this.#field();
      size += field.size;
      count += 1;
      if (size <= maxHeaderListBytes && count <= maxHeaderFields) fields.push(field);
    }
    return new HeaderList(fields, size, size > maxHeaderListBytes || count > maxHeaderFields);
  }

  /** Section 6. The first bits show the form. */
  #field(): Field {
    const first = this.#bytes[this.#at] as number;
    if (first >= 0x80) return this.#indexed(this.#integer(0x7f));
    if (first >= 0x40) {
      const field = this.#literal(0x3f);
      this.#table.add(field);
      return field;
    }
    if (first >= 0x20) fail('the table changes its size among the fields');
    // Without indexing, and never indexed.
    return this.#literal(0x0f);
  }

  #literal(mask: number): Field {
    const index = this.#integer(mask);
    const name = index === 0 ? this.#text() : this.#indexed(index).name;
    return new Field(name, this.#text());
  }

  #indexed(index: number): Field {
    const field =
      index <= STATIC_TABLE.length ? STATIC_TABLE[index - 1] : this.#table.at(index - STATIC_TABLE.length - 1);
    return field ?? fail('the index is not in the tables');
  }

  /** Section 6.3. */
  #resizeTable(): void {
    for (let updates = 0; this.#at < this.#end && ((this.#bytes[this.#at] as number) & 0xe0) === 0x20; updates += 1) {
      const size = this.#integer(0x1f);
      if (size > TABLE_BYTES) fail('the table is larger than allowed');
      if (updates === MAX_SIZE_UPDATES) fail('the table changes its size too often');
      this.#table.resize(size);
    }
  }

  /** Section 5.1. @param mask the bits of the first byte that belong to the integer */
  #integer(mask: number): number {
    let value = (this.#bytes[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= this.#end) fail('an integer is not complete');
      const byte = this.#bytes[this.#at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (value > MAX_INTEGER || shift > 28) fail('an integer is too large');
      if (byte < 0x80) return value;
    }
  }

  /** Section 5.2. */
  #text(): string {
    if (this.#at >= this.#end) fail('a text is missing');
    const isHuffman = (this.#bytes[this.#at] as number) >= 0x80;
    const length = this.#integer(0x7f);
    const start = this.#at;
    const end = start + length;
    if (end > this.#end) fail('a text is longer than its block');
    this.#at = end;
    if (!isHuffman) return this.#bytes.toString('latin1', start, end);
    return decodeHuffman(this.#bytes, start, end) ?? fail('a Huffman code is invalid');
  }
}

function fail(message: string): never {
  throw new ConnectionError(ERROR.COMPRESSION_ERROR, message);
}

/** In a loop, because most blocks have few bytes and differ early. */
function isEqual(kept: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const { length } = kept;
  if (length !== end - start) return false;
  for (let at = 0; at < length; at += 1) if (kept[at] !== bytes[start + at]) return false;
  return true;
}
