// Reads from the bytes of a CheckRequest only the fields that decide something: Envoy sends many others. A message of an
// unusual form (a field twice, another wire type, a text that is not ASCII) is left to the library.
import { type CheckFacts, type CheckHeaders, READ_HEADERS } from '../gateway/check-facts.ts';
import { KnownNames } from './known-names.ts';
import { type AsciiText, WireFields } from './protobuf-wire.ts';

/** Field numbers, by message. */
const CHECK_REQUEST = { attributes: 1 };
const ATTRIBUTES = { source: 1, destination: 2, request: 4, contextExtensions: 10 };
const SOURCE = { address: 1, certificate: 5 };
const ADDRESS = { socketAddress: 1 };
const SOCKET_ADDRESS = { protocol: 1, address: 2, portValue: 3 };
const REQUEST = { time: 1, http: 2 };
const HTTP = { id: 1, method: 2, headers: 3, path: 4, host: 5, last: 12, headerMap: 13 };
const ENTRY = { key: 1, value: 2 };
/** google.protobuf.Struct and others: metadata_context, tls_session, route_metadata_context. */
const LAST_ATTRIBUTE = 13;
const MAX_FIELDS = 1_000;

const READ = new KnownNames(READ_HEADERS);

// Most texts matter only in rare cases, so each is made only when it is needed.

class WireHeaders implements CheckHeaders {
  readonly #names: string[] = [];
  readonly #values: AsciiText[] = [];

  has(name: string): boolean {
    return this.#names.includes(name);
  }

  add(name: string, value: AsciiText): void {
    this.#names.push(name);
    this.#values.push(value);
  }

  first(name: string): string {
    const at = this.#names.indexOf(name);
    return at < 0 ? '' : (this.#values[at] as AsciiText).toString();
  }

  all(name: string): string[] {
    return this.has(name) ? [this.first(name)] : [];
  }
}

class WireFacts implements CheckFacts {
  readonly headers = new WireHeaders();
  readonly contextExtensions: Record<string, string> = {};
  /** By their numbers in HttpRequest. */
  readonly texts: AsciiText[] = [];
  peerText: AsciiText | null = null;

  get method(): string {
    return this.#text(HTTP.method);
  }

  get path(): string {
    return this.#text(HTTP.path);
  }

  get host(): string {
    return this.#text(HTTP.host);
  }

  get streamId(): string {
    return this.#text(HTTP.id);
  }

  get peer(): string {
    return this.peerText?.toString() ?? '';
  }

  #text(number: number): string {
    return this.texts[number]?.toString() ?? '';
  }
}

/** Null when the library must read the message. The facts are valid as long as the bytes are. */
export function readCheckFacts(bytes: Buffer, start: number): CheckFacts | null {
  const facts = new WireFacts();
  const message = new WireFields(bytes, start, bytes.length, MAX_FIELDS);
  if (!message.next()) return message.isWhole ? facts : null;
  if (message.number !== CHECK_REQUEST.attributes || !message.isMessage) return null;
  if (!readAttributes(message.inner(), facts)) return null;
  return message.next() || !message.isWhole ? null : facts;
}

function readAttributes(fields: WireFields, facts: WireFacts): boolean {
  let seen = 0;
  while (fields.next()) {
    if (fields.number > LAST_ATTRIBUTE || !fields.isMessage) return false;
    if (fields.number === ATTRIBUTES.contextExtensions) {
      if (!readExtension(fields.inner(), facts)) return false;
      continue;
    }
    if ((seen & (1 << fields.number)) !== 0) return false;
    seen |= 1 << fields.number;
    if (fields.number === ATTRIBUTES.source && !readSource(fields.inner(), facts)) return false;
    if (fields.number === ATTRIBUTES.request && !readRequest(fields.inner(), facts)) return false;
  }
  return fields.isWhole;
}

function readSource(fields: WireFields, facts: WireFacts): boolean {
  let seen = false;
  while (fields.next()) {
    if (fields.number > SOURCE.certificate || !fields.isMessage) return false;
    if (fields.number !== SOURCE.address) continue;
    if (seen || !readAddress(fields.inner(), facts)) return false;
    seen = true;
  }
  return fields.isWhole;
}

function readAddress(fields: WireFields, facts: WireFacts): boolean {
  if (!fields.next()) return fields.isWhole;
  if (fields.number !== ADDRESS.socketAddress || !fields.isMessage) return false;
  const inner = fields.inner();
  while (inner.next()) {
    if (inner.number === SOCKET_ADDRESS.address) {
      const text = inner.isMessage && !facts.peerText ? inner.ascii() : null;
      if (text === null) return false;
      facts.peerText = text;
    } else if (inner.number > SOCKET_ADDRESS.portValue || inner.isMessage) return false;
  }
  return inner.isWhole && !fields.next() && fields.isWhole;
}

function readRequest(fields: WireFields, facts: WireFacts): boolean {
  let seen = false;
  while (fields.next()) {
    if (fields.number > REQUEST.http || !fields.isMessage) return false;
    if (fields.number !== REQUEST.http) continue;
    if (seen || !readHttp(fields.inner(), facts)) return false;
    seen = true;
  }
  return fields.isWhole;
}

function readHttp(fields: WireFields, facts: WireFacts): boolean {
  let seen = 0;
  let entry: WireFields | null = null;
  while (fields.next()) {
    const { number } = fields;
    if (number === HTTP.headers) {
      if (!fields.isMessage) return false;
      entry = fields.inner(entry);
      if (!readHeader(entry, facts)) return false;
      continue;
    }
    // Headers in the second form are rare.
    if (number > HTTP.last || (seen & (1 << number)) !== 0) return false;
    seen |= 1 << number;
    if (number > HTTP.host) continue;
    const text = fields.isMessage ? fields.ascii() : null;
    if (text === null) return false;
    facts.texts[number] = text;
  }
  return fields.isWhole;
}

/** An entry of a map. Envoy writes each key once. */
function readHeader(entry: WireFields, { headers }: WireFacts): boolean {
  if (!entry.next() || entry.number !== ENTRY.key || !entry.isMessage) return false;
  const name = entry.nameAmong(READ);
  if (name === null) return false;
  if (!entry.next()) return entry.isWhole && name === '';
  if (entry.number !== ENTRY.value || !entry.isMessage) return false;
  if (name !== '' && (entry.length > 0 || name === 'authorization')) {
    const value = entry.ascii();
    if (value === null || headers.has(name)) return false;
    headers.add(name, value);
  }
  return !entry.next() && entry.isWhole;
}

function readExtension(entry: WireFields, facts: WireFacts): boolean {
  const key = entry.next() && entry.number === ENTRY.key && entry.isMessage ? entry.text() : null;
  const value = entry.next() && entry.number === ENTRY.value && entry.isMessage ? entry.text() : null;
  if (key === null || value === null || Object.hasOwn(facts.contextExtensions, key) || key === '__proto__')
    return false;
  facts.contextExtensions[key] = value;
  return !entry.next() && entry.isWhole;
}
