// Sessions of real clients, damaged at random.
import fc from 'fast-check';
import * as f from '../../support/frames.ts';
import { http2Frame } from '../../support/raw.ts';
import { MAGIC } from '../engine.ts';
import { RECORDED } from '../sessions/recorded.ts';
import { Session } from './session.ts';

/** The preface and the frames of a session. After a change they may no longer be what their lengths say. */
type Pieces = Buffer[];
type Change = (pieces: Pieces) => Pieces;

const HEAD_BYTES = 9;
const MAX_CHANGES = 3;
/** Types that no RFC defines come after PRIORITY_UPDATE. */
const MAX_TYPE = 18;

const VALID: Pieces[] = RECORDED.map(({ bytes }) => piecesOf(Buffer.from(bytes, 'base64')));

function piecesOf(bytes: Buffer): Pieces {
  const frames = f.parseFrames(bytes.subarray(MAGIC.length));
  return [MAGIC, ...frames.map(({ type, flags, streamId, payload }) => http2Frame(type, flags, streamId, payload))];
}

const place = fc.nat(999);
const streamId = fc.oneof(
  { weight: 6, arbitrary: fc.nat(6).map((n) => 2 * n + 1) },
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(2, 4, 99, 2 ** 31 - 1, 2 ** 31 + 1) },
);
const uint32 = fc.oneof(
  fc.constantFrom(0, 1, 2, 16_383, 16_384, 65_535, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1),
  fc.nat(100),
);

const fieldName = fc.constantFrom(
  ...[':method', ':scheme', ':path', ':authority', ':protocol', ':status', 'host', 'te', 'connection', 'cookie'],
  ...['content-length', 'transfer-encoding', 'upgrade', 'keep-alive', 'X-Upper', 'with space', 'a', 'x-y', '', ':'],
);
const fieldValue = fc.constantFrom(
  ...['', 'GET', 'CONNECT', 'HEAD', 'OPTIONS', 'http', '/', '*', '/x', 'x', 'trailers', 'gzip', '0', '21', '-1', '1x'],
  ...['a b', ' a', 'a ', '\t', 'a\0b', 'a\rb', 'a\nb', '\x7f', 'é', 'localhost', 'a@b', '99999999999999999999'],
);
const randomField = fc.tuple(fieldName, fieldValue) as fc.Arbitrary<f.Field>;
/** A request in which some fields are changed, left out or added. */
const fields = fc
  .tuple(
    fc.constantFrom('GET', 'POST'),
    fc.array(fc.tuple(place, fc.constantFrom('replace', 'insert', 'drop'), randomField), { maxLength: 3 }),
  )
  .map(([method, changes]) => {
    const all = f.request('/x', method);
    for (const [at, change, field] of changes)
      all.splice(at % (all.length + 1), change === 'insert' ? 0 : 1, ...(change === 'drop' ? [] : [field]));
    return all;
  });
/** Sizes of the dynamic table, indices and texts, mostly valid. */
const hpack = fc
  .array(
    fc.oneof(
      fc.integer({ min: 1, max: 70 }).map((index) => f.integer(index, 7, 0x80)),
      fc.constantFrom(0, 30, 4_096, 4_097).map((size) => f.integer(size, 5, 0x20)),
      randomField.map((field) => f.remembered(field)),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 4 },
  )
  .map((parts) => Buffer.concat(parts));
const block = fc.oneof(
  { weight: 3, arbitrary: fields.map((all) => f.fields(...all)) },
  { weight: 1, arbitrary: fc.tuple(hpack, fields).map(([first, all]) => Buffer.concat([first, f.fields(...all)])) },
  { weight: 1, arbitrary: hpack },
  { weight: 1, arbitrary: fc.array(randomField, { maxLength: 2 }).map((all) => f.fields(...all)) },
);
const anyBytes = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes));
const settings = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 10 }), uint32), { maxLength: 3 })
  .map((entries) => f.settings(...(entries as [number, number][])).subarray(HEAD_BYTES));
const flags = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0, f.END_STREAM, f.END_HEADERS, f.END_HEADERS | f.END_STREAM) },
  { weight: 1, arbitrary: fc.nat(255) },
);
const frameOf = (types: number | fc.Arbitrary<number>, payload: fc.Arbitrary<Buffer>, id = streamId) =>
  fc
    .tuple(typeof types === 'number' ? fc.constant(types) : types, flags, id, payload)
    .map(([type, bits, on, bytes]) => http2Frame(type, bits, on, bytes));
const onConnection = fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: streamId });
const priority = fc.tuple(streamId, fc.nat(255)).map(([on, weight]) => Buffer.from([...f.uint32(on), weight]));
/** Padding of about the length of its frame. */
const padded = fc
  .tuple(streamId, fc.nat(8), fc.nat(8), fc.constantFrom(0, f.END_STREAM))
  .map(([id, padding, length, end]) =>
    http2Frame(f.DATA, f.PADDED | end, id, Buffer.from([padding, ...Buffer.alloc(length)])),
  );
/** A frame of any type, with a payload that mostly suits it. */
export const anyFrame = fc.oneof(
  { weight: 4, arbitrary: frameOf(f.HEADERS, block) },
  { weight: 1, arbitrary: frameOf(f.CONTINUATION, block) },
  { weight: 2, arbitrary: frameOf(f.DATA, anyBytes) },
  { weight: 1, arbitrary: padded },
  { weight: 1, arbitrary: frameOf(f.PRIORITY, priority) },
  {
    weight: 2,
    arbitrary: frameOf(
      f.RESET,
      fc.nat(14).map((code) => f.uint32(code)),
    ),
  },
  { weight: 2, arbitrary: frameOf(f.SETTINGS, settings, onConnection) },
  { weight: 1, arbitrary: frameOf(f.PING, fc.constant(Buffer.alloc(8)), onConnection) },
  {
    weight: 1,
    arbitrary: frameOf(
      f.GOAWAY,
      fc.tuple(uint32, uint32).map((both) => f.uint32(...both)),
      onConnection,
    ),
  },
  {
    weight: 2,
    arbitrary: frameOf(
      f.WINDOW_UPDATE,
      uint32.map((increment) => f.uint32(increment)),
    ),
  },
  { weight: 2, arbitrary: frameOf(fc.nat(MAX_TYPE), anyBytes) },
);

/** An index of the pieces. The preface is rarely the one, because nothing follows an invalid preface. */
const indexOf = (n: number, { length }: Pieces) => (n < 20 || length < 2 ? 0 : 1 + (n % (length - 1)));
/** @param make the pieces in place of one */
const at =
  (n: number, make: (piece: Buffer) => Buffer[]): Change =>
  (pieces) => {
    const index = indexOf(n, pieces);
    const piece = pieces[index];
    return piece ? pieces.toSpliced(index, 1, ...make(piece)) : pieces;
  };
const change: fc.Arbitrary<Change> = fc.oneof(
  place.map((n) => at(n, () => [])),
  place.map((n) => at(n, (piece) => [piece, piece])),
  fc.tuple(place, place).map(
    ([from, to]): Change =>
      (pieces) => {
        const [source, target] = [indexOf(from, pieces), indexOf(to, pieces)];
        const moved = pieces[source];
        return moved ? pieces.toSpliced(source, 1).toSpliced(target, 0, moved) : pieces;
      },
  ),
  // The byte of the head decides what the change concerns: 0 to 2 the length, 3 the type, 4 the flags, others the id.
  fc
    .tuple(place, fc.nat(HEAD_BYTES - 1), fc.nat(7))
    .map(([n, byte, bit]) => at(n, (piece) => [flip(piece, byte, bit)])),
  fc.tuple(place, place, fc.nat(7)).map(([n, byte, bit]) => at(n, (piece) => [flip(piece, HEAD_BYTES + byte, bit)])),
  fc.tuple(place, place).map(([n, length]) => at(n, (piece) => [piece.subarray(0, length % (piece.length + 1))])),
  fc.tuple(place, place).map(([n, length]) => at(n, (piece) => [shorten(piece, length)])),
  fc.tuple(place, streamId).map(([n, id]) => at(n, (piece) => [onStream(piece, id)])),
  fc.tuple(place, fc.constantFrom(...VALID), place).map(([n, other, m]) => {
    const spliced = other[m % other.length] as Buffer;
    return at(n, (piece) => [piece, spliced]);
  }),
  { weight: 6, arbitrary: fc.tuple(place, anyFrame).map(([n, inserted]) => at(n, (piece) => [piece, inserted])) },
);

function flip(piece: Buffer, byte: number, bit: number): Buffer {
  const changed = Buffer.from(piece);
  const place = byte < HEAD_BYTES ? byte : HEAD_BYTES + ((byte - HEAD_BYTES) % Math.max(1, piece.length - HEAD_BYTES));
  if (place < changed.length) changed.writeUInt8(changed.readUInt8(place) ^ (1 << bit), place);
  return changed;
}

/** With a length that is right. */
function shorten(piece: Buffer, length: number): Buffer {
  if (piece.length < HEAD_BYTES || piece === MAGIC) return piece;
  const payload = piece.subarray(HEAD_BYTES);
  const kept = payload.subarray(0, length % (payload.length + 1));
  return http2Frame(piece.readUInt8(3), piece.readUInt8(4), piece.readUInt32BE(5), kept);
}

function onStream(piece: Buffer, id: number): Buffer {
  const moved = Buffer.from(piece);
  if (piece.length >= HEAD_BYTES && piece !== MAGIC) moved.writeUInt32BE(id, 5);
  return moved;
}

/** Lengths of writes. */
export const cuts = fc.array(fc.nat(200), { maxLength: 6 });
/** Null for a write for each frame. */
const cutsOrFrames = fc.option(cuts, { freq: 3 });

export function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const writes: Buffer[] = [];
  let start = 0;
  for (const length of lengths) {
    writes.push(bytes.subarray(start, start + length));
    start += length;
  }
  return [...writes, bytes.subarray(start)];
}

/** The session of a real client after some changes, in any writes. */
export const damagedSession: fc.Arbitrary<Session> = fc
  .tuple(fc.constantFrom(...VALID), fc.array(change, { maxLength: MAX_CHANGES }), cutsOrFrames)
  .map(([valid, changes, lengths]) => {
    const pieces = changes.reduce((before, apply) => apply(before), valid);
    const writes = lengths === null ? pieces : cut(Buffer.concat(pieces), lengths);
    return new Session(writes.filter(({ length }) => length > 0));
  });
