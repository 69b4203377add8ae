import type { IncomingMessage } from 'node:http';
import type { RequestHead } from './server-stream.ts';

/** More of them are rejected. */
const MAX_HEADERS = 128;

export class Http1Head implements RequestHead {
  readonly method: string;
  readonly path: string;
  readonly contentLength: number;
  readonly isTooLarge: boolean;
  memo: unknown = null;
  /** Names in any case and values in turn. */
  readonly #raw: readonly string[];
  #fields: { name: string; value: string }[] | null = null;

  constructor({ method = '', url = '', rawHeaders }: IncomingMessage) {
    this.method = method;
    this.path = url;
    this.#raw = rawHeaders;
    this.isTooLarge = rawHeaders.length > 2 * MAX_HEADERS;
    const length = this.get('content-length');
    this.contentLength = length === '' ? -1 : Number(length);
  }

  get host(): string {
    return this.get('host');
  }

  get fields(): { name: string; value: string }[] {
    if (!this.#fields) {
      this.#fields = [];
      for (let at = 0; at < this.#raw.length; at += 2)
        this.#fields.push({ name: (this.#raw[at] as string).toLowerCase(), value: this.#raw[at + 1] as string });
    }
    return this.#fields;
  }

  get(name: string): string {
    let found: string | undefined;
    for (const field of this.fields) {
      if (field.name !== name) continue;
      found = found === undefined ? field.value : found + (name === 'cookie' ? '; ' : ', ') + field.value;
    }
    return found ?? '';
  }

  has(name: string): boolean {
    return this.fields.some((field) => field.name === name);
  }

  all(name: string): string[] {
    return this.fields.filter((field) => field.name === name).map(({ value }) => value);
  }
}
