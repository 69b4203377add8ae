/** Counted for each field beside its text (RFC 7541 section 4.1). */
const OVERHEAD_BYTES = 32;

/** Lower case, with a colon in front of a pseudo-header (RFC 9113 section 8.2.1). */
const NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Without NUL, CR and LF; neither space nor tab at an end. */
const VALUE = /^(?![ \t])[^\0\r\n]*(?<![ \t])$/;
/** They belong to one connection of HTTP/1.1 (RFC 9113 section 8.2.2). */
const CONNECTION_SPECIFIC = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];

/** A header field. Each character stands for a byte. */
export class Field {
  readonly name: string;
  readonly value: string;
  readonly size: number;
  readonly isPseudo: boolean;
  /** Whether RFC 9113 allows it in a request. */
  readonly isValid: boolean;

  constructor(name: string, value: string) {
    this.name = name;
    this.value = value;
    this.size = name.length + value.length + OVERHEAD_BYTES;
    this.isPseudo = name.charCodeAt(0) === 0x3a;
    this.isValid =
      NAME.test(name) &&
      VALUE.test(value) &&
      !CONNECTION_SPECIFIC.includes(name) &&
      (name !== 'te' || value === 'trailers');
  }
}
