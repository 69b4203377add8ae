import type { Field } from './field.ts';

/** Evicted places are removed from the array when there are this many. */
const COMPACT_AFTER = 64;

/** The dynamic table of a decoder (RFC 7541 section 2.3.2). */
export class DynamicTable {
  #fields: Field[] = [];
  /** The place of the oldest field. */
  #oldest = 0;
  #size = 0;
  #maxSize: number;
  /** Changes with the content of the table. */
  version = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /** @param index 0 for the newest */
  at(index: number): Field | undefined {
    const place = this.#fields.length - 1 - index;
    return place < this.#oldest ? undefined : this.#fields[place];
  }

  /** A field that is larger than the table empties it (section 4.4). */
  add(field: Field): void {
    this.version += 1;
    this.#evictTo(this.#maxSize - field.size);
    if (field.size > this.#maxSize) return;
    this.#fields.push(field);
    this.#size += field.size;
  }

  resize(maxSize: number): void {
    this.version += 1;
    this.#maxSize = maxSize;
    this.#evictTo(maxSize);
  }

  #evictTo(size: number): void {
    while (this.#size > size && this.#oldest < this.#fields.length) {
      this.#size -= (this.#fields[this.#oldest] as Field).size;
      this.#oldest += 1;
    }
    if (this.#oldest < COMPACT_AFTER && this.#oldest < this.#fields.length) return;
    this.#fields.splice(0, this.#oldest);
    this.#oldest = 0;
  }
}
