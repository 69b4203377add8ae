import type { IncomingMessage } from 'node:http';
import type { RequestHead } from './server-stream.ts';

/** More of them are rejected. */
export const MAX_HEADERS = 128;

type Field = { readonly name: string; readonly value: string };

export class Http1Head implements RequestHead {
  readonly method: string;
  readonly path: string;
  readonly contentLength: number;
  readonly isTooLarge: boolean;
  readonly fields: readonly Field[];
  memo: unknown = null;

  /** @param fields with their names in lower case */
  constructor(method: string, path: string, fields: readonly Field[]) {
    this.method = method;
    this.path = path;
    this.fields = fields;
    this.isTooLarge = fields.length > MAX_HEADERS;
    const length = this.get('content-length');
    this.contentLength = length === '' ? -1 : Number(length);
  }

  static of({ method = '', url = '', rawHeaders }: IncomingMessage): Http1Head {
    const fields: Field[] = [];
    for (let at = 0; at < rawHeaders.length; at += 2)
      fields.push({ name: (rawHeaders[at] as string).toLowerCase(), value: rawHeaders[at + 1] as string });
    return new Http1Head(method, url, fields);
  }

  get host(): string {
    return this.get('host');
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
