// Reads from the bytes of a CheckRequest only the fields that decide something: Envoy sends many others. A message of an
// unusual form (a field twice, another wire type, a text that is not ASCII) is left to the library.
import { type CheckFacts, createCheckHeaders, nameOfRead } from '../gateway/check-facts.ts';
import { WireFields } from './protobuf-wire.ts';

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

type Facts = { -readonly [name in keyof CheckFacts]: CheckFacts[name] } & {
  headers: ReturnType<typeof createCheckHeaders>;
};

/** Null when the library must read the message. */
export function readCheckFacts(bytes: Buffer, start: number): CheckFacts | null {
  const facts: Facts = {
    method: '',
    path: '',
    host: '',
    streamId: '',
    peer: '',
    contextExtensions: {},
    headers: createCheckHeaders(),
  };
  const message = new WireFields(bytes, start, bytes.length, MAX_FIELDS);
  if (!message.next()) return message.isWhole ? facts : null;
  if (message.number !== CHECK_REQUEST.attributes || !message.isMessage) return null;
  if (!readAttributes(message.inner(), facts)) return null;
  return message.next() || !message.isWhole ? null : facts;
}

function readAttributes(fields: WireFields, facts: Facts): boolean {
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

function readSource(fields: WireFields, facts: Facts): boolean {
  let seen = false;
  while (fields.next()) {
    if (fields.number > SOURCE.certificate || !fields.isMessage) return false;
    if (fields.number !== SOURCE.address) continue;
    if (seen || !readAddress(fields.inner(), facts)) return false;
    seen = true;
  }
  return fields.isWhole;
}

function readAddress(fields: WireFields, facts: Facts): boolean {
  if (!fields.next()) return fields.isWhole;
  if (fields.number !== ADDRESS.socketAddress || !fields.isMessage) return false;
  const inner = fields.inner();
  while (inner.next()) {
    if (inner.number === SOCKET_ADDRESS.address) {
      const text = inner.isMessage && facts.peer === '' ? inner.text() : null;
      if (text === null) return false;
      facts.peer = text;
    } else if (inner.number > SOCKET_ADDRESS.portValue || inner.isMessage) return false;
  }
  return inner.isWhole && !fields.next() && fields.isWhole;
}

function readRequest(fields: WireFields, facts: Facts): boolean {
  let seen = false;
  while (fields.next()) {
    if (fields.number > REQUEST.http || !fields.isMessage) return false;
    if (fields.number !== REQUEST.http) continue;
    if (seen || !readHttp(fields.inner(), facts)) return false;
    seen = true;
  }
  return fields.isWhole;
}

function readHttp(fields: WireFields, facts: Facts): boolean {
  let seen = 0;
  while (fields.next()) {
    const { number } = fields;
    if (number === HTTP.headers) {
      if (!fields.isMessage || !readHeader(fields.inner(), facts)) return false;
      continue;
    }
    // Headers in the second form are rare.
    if (number > HTTP.last || (seen & (1 << number)) !== 0) return false;
    seen |= 1 << number;
    if (number > HTTP.host) continue;
    const text = fields.isMessage ? fields.text() : null;
    if (text === null) return false;
    if (number === HTTP.id) facts.streamId = text;
    else if (number === HTTP.method) facts.method = text;
    else if (number === HTTP.path) facts.path = text;
    else facts.host = text;
  }
  return fields.isWhole;
}

/** An entry of a map. Envoy writes each key once. */
function readHeader(entry: WireFields, facts: Facts): boolean {
  const key = entry.next() && entry.number === ENTRY.key && entry.isMessage ? entry.text() : null;
  if (key === null) return false;
  const name = nameOfRead(key);
  if (!entry.next()) return entry.isWhole && name === null;
  if (entry.number !== ENTRY.value || !entry.isMessage) return false;
  if (name !== null) {
    const value = entry.text();
    if (value === null || facts.headers.first(name) !== '') return false;
    facts.headers.add(name, value);
  }
  return !entry.next() && entry.isWhole;
}

function readExtension(entry: WireFields, facts: Facts): boolean {
  const key = entry.next() && entry.number === ENTRY.key && entry.isMessage ? entry.text() : null;
  const value = entry.next() && entry.number === ENTRY.value && entry.isMessage ? entry.text() : null;
  if (key === null || value === null || Object.hasOwn(facts.contextExtensions, key) || key === '__proto__')
    return false;
  facts.contextExtensions[key] = value;
  return !entry.next() && entry.isWhole;
}
