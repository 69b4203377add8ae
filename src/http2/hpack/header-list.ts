import type { Field } from './field.ts';

const SLASH = 0x2f;
const CONTENT_LENGTH = /^\d{1,15}$/;

/**
 * The header fields of a request, or the trailers. The same object can stand for several requests whose blocks are
 * equal.
 */
export class HeaderList {
  /** Without the pseudo-headers, in their order. */
  readonly fields: readonly Field[];
  readonly method: string = '';
  readonly scheme: string = '';
  /** Empty without `:authority`. */
  readonly authority: string = '';
  /** With the query. */
  readonly path: string = '';
  /** As RFC 9113 section 6.5.2 counts it. */
  readonly size: number;
  /** More than the limits allow. `fields` then has only the first ones. */
  readonly isTooLarge: boolean;
  /** -1 without `content-length`. */
  readonly contentLength: number = -1;
  /** Whether it is well-formed as the head of a request (RFC 9113 section 8.3.1). */
  readonly isRequest: boolean;
  /** Whether it is well-formed as the trailers of a request. */
  readonly isTrailers: boolean;
  /** A place for what the user of a list computes from it. */
  memo: unknown = null;

  constructor(all: readonly Field[], size: number, isTooLarge: boolean) {
    this.size = size;
    this.isTooLarge = isTooLarge;
    let isWellFormed = true;
    let pseudos = 0;
    const seen = new Set<string>();
    const fields: Field[] = [];
    for (const field of all) {
      const { name, value } = field;
      if (!field.isValid) isWellFormed = false;
      if (!field.isPseudo) {
        fields.push(field);
        if (name === 'content-length') {
          const length = CONTENT_LENGTH.test(value) ? Number(value) : -2;
          if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length)) isWellFormed = false;
          this.contentLength = length;
        }
        continue;
      }
      pseudos += 1;
      if (fields.length > 0 || seen.has(name)) isWellFormed = false;
      seen.add(name);
      if (name === ':method') this.method = value;
      else if (name === ':scheme') this.scheme = value;
      else if (name === ':authority') this.authority = value;
      else if (name === ':path') this.path = value;
      else isWellFormed = false;
    }
    this.fields = fields;
    const isComplete = this.method !== '' && this.scheme !== '' && isPath(this.path, this.method);
    // Section 8.5.
    const isConnect = this.authority !== '' && !seen.has(':scheme') && !seen.has(':path');
    this.isRequest = isWellFormed && (this.method === 'CONNECT' ? isConnect : isComplete);
    this.isTrailers = isWellFormed && pseudos === 0;
  }

  /** The host that the client asks for. Empty without one. */
  get host(): string {
    return this.authority || this.get('host');
  }

  /** Several values joined as RFC 9110 section 5.3 and RFC 9113 section 8.2.3 say. Empty without the header. */
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

function isPath(path: string, method: string): boolean {
  return path.charCodeAt(0) === SLASH || (path === '*' && method === 'OPTIONS');
}
