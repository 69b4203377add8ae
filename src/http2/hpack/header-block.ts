import { appendField, encodeHeaders } from './encoder.ts';

/** The head of a response, or its trailers. It is encoded once, so one object can serve many responses. */
export class HeaderBlock {
  /** Null for trailers. */
  readonly status: number | null;
  /** Names in lower case and values in turn. */
  readonly fields: readonly string[];
  #bytes: Buffer | null = null;

  constructor(status: number | null, fields: readonly string[]) {
    this.status = status;
    this.fields = fields;
  }

  /**
   * Encodes only the new field.
   * @throws TypeError as `bytes`
   */
  with(name: string, value: string): HeaderBlock {
    const block = new HeaderBlock(this.status, [...this.fields, name, value]);
    block.#bytes = appendField(this.bytes, name, value);
    return block;
  }

  /** @throws TypeError for a name or a value that HTTP does not allow */
  get bytes(): Buffer {
    this.#bytes ??= encodeHeaders(this.status, this.fields);
    return this.#bytes;
  }
}
