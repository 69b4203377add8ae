// Bounds on what a message is made of, checked on its bytes before anything is built from them: a few bytes a field are enough to
// make a decoder create an object each. The check itself takes one pass and stops at the first excess.
import { type DescField, type DescMessage, type DescMethod, ScalarType } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';
import { VerifierService } from '../../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { AuthError } from '../../domain/auth-error.ts';

export type MessageBounds = {
  /** Of one message, in either direction. */
  maxBytes: number;
  /** Fields, list elements and map entries of a message with all the messages inside it; members and elements of JSON. */
  maxFields: number;
};

export const MESSAGE_BOUNDS: MessageBounds = { maxBytes: 64 * 1024, maxFields: 1_000 };
/** A batch of 1,000 has up to three fields an element. */
export const BATCH_BOUNDS: MessageBounds = { maxBytes: 1024 * 1024, maxFields: 5_000 };
/** Envoy nests metadata: a level of google.protobuf.Struct takes three messages. */
const MAX_DEPTH = 32;
/** In a row. JSON has numbers of 64 bits in texts, and the work of parsing one grows with the square of its digits. */
const MAX_DIGITS = 1_024;
const MAX_VARINT_BYTES = 10;

export function messageBounds(method: DescMethod): MessageBounds {
  return method.parent === VerifierService ? BATCH_BOUNDS : MESSAGE_BOUNDS;
}

/**
 * Checks the encoding of a message: the form, how deep it nests, and how many fields it has.
 * @throws AuthError MESSAGE_TOO_LARGE or REQUEST_MALFORMED
 */
export function checkMessage(desc: DescMessage, bytes: Uint8Array, maxFields: number, isJson: boolean): void {
  if (isJson) checkJson(bytes, maxFields);
  else checkProtobuf(shapeOf(desc), bytes, { at: 0, left: maxFields }, bytes.length, 1);
}

/** What a message may hold, by field number. */
type Shape = Map<number, Field>;
type Field = {
  wireTypes: WireType[];
  /** Of a message; looked up late, for messages may hold themselves. */
  inner: (() => Shape) | null;
  isPackable: boolean;
};
/** Where the check has come to, and how many fields may follow. */
type Progress = { at: number; left: number };

const shapes = new WeakMap<DescMessage, Shape>();

function shapeOf(desc: DescMessage): Shape {
  let shape = shapes.get(desc);
  if (!shape) {
    shape = new Map(desc.fields.map((field) => [field.number, toField(field)]));
    shapes.set(desc, shape);
  }
  return shape;
}

function toField(field: DescField): Field {
  if (field.fieldKind === 'map') {
    const entry: Shape = new Map([
      [1, scalarField(field.mapKey, false)],
      [2, valueField(field, false)],
    ]);
    return messageField(() => entry);
  }
  return valueField(field, field.fieldKind === 'list');
}

function valueField({ message, enum: isEnum, scalar }: DescField, isList: boolean): Field {
  if (message) return messageField(() => shapeOf(message));
  return scalarField(isEnum ? ScalarType.INT32 : (scalar as ScalarType), isList);
}

function messageField(inner: () => Shape): Field {
  return { wireTypes: [WireType.LengthDelimited], inner, isPackable: false };
}

function scalarField(scalar: ScalarType, isList: boolean): Field {
  const wireType = WIRE_TYPES[scalar] ?? WireType.Varint;
  const isPackable = isList && wireType !== WireType.LengthDelimited;
  return { wireTypes: isPackable ? [wireType, WireType.LengthDelimited] : [wireType], inner: null, isPackable };
}

/** Of all others it is a varint. */
const WIRE_TYPES: Partial<Record<ScalarType, WireType>> = {
  [ScalarType.STRING]: WireType.LengthDelimited,
  [ScalarType.BYTES]: WireType.LengthDelimited,
  [ScalarType.DOUBLE]: WireType.Bit64,
  [ScalarType.FIXED64]: WireType.Bit64,
  [ScalarType.SFIXED64]: WireType.Bit64,
  [ScalarType.FLOAT]: WireType.Bit32,
  [ScalarType.FIXED32]: WireType.Bit32,
  [ScalarType.SFIXED32]: WireType.Bit32,
};

function checkProtobuf(shape: Shape, bytes: Uint8Array, progress: Progress, end: number, depth: number): void {
  if (depth > MAX_DEPTH) throw new AuthError('MESSAGE_TOO_LARGE');
  while (progress.at < end) {
    if (--progress.left < 0) throw new AuthError('MESSAGE_TOO_LARGE');
    const tag = readVarint(bytes, progress, end);
    const field = shape.get(tag >>> 3);
    const wireType = tag & 7;
    if (tag >>> 3 === 0 || (field && !field.wireTypes.includes(wireType))) throw new AuthError('REQUEST_MALFORMED');
    if (wireType !== WireType.LengthDelimited) {
      skipScalar(bytes, progress, end, wireType);
      continue;
    }
    const length = readVarint(bytes, progress, end);
    const next = progress.at + length;
    if (next > end) throw new AuthError('REQUEST_MALFORMED');
    if (field?.inner) checkProtobuf(field.inner(), bytes, progress, next, depth + 1);
    // An element of a packed list takes a byte or more.
    else if (field?.isPackable) progress.left -= length;
    progress.at = next;
  }
}

/** Of 32 bits; all tags and lengths are. */
function readVarint(bytes: Uint8Array, progress: Progress, end: number): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = progress.at < end ? bytes[progress.at++] : undefined;
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value > 0xffff_ffff ? malformed() : value;
  }
  return malformed();
}

/** Groups are rejected: no message here has one. */
function skipScalar(bytes: Uint8Array, progress: Progress, end: number, wireType: WireType): void {
  if (wireType === WireType.Bit64) progress.at += 8;
  else if (wireType === WireType.Bit32) progress.at += 4;
  else if (wireType === WireType.Varint) {
    const last = progress.at + MAX_VARINT_BYTES;
    while (progress.at < last && (bytes[progress.at] ?? 0) >= 0x80) progress.at += 1;
    if (progress.at === last) malformed();
    progress.at += 1;
  } else malformed();
  if (progress.at > end) malformed();
}

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Whether the bytes are JSON is for the parser to find out, once they are known to be cheap to parse.
 * @throws AuthError MESSAGE_TOO_LARGE or REQUEST_MALFORMED
 */
export function checkJson(bytes: Uint8Array, maxFields: number): void {
  let [depth, left, digits] = [0, maxFields, 0];
  let isInText = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    digits = byte >= 0x30 && byte <= 0x39 ? digits + 1 : 0;
    if (digits > MAX_DIGITS) malformed();
    if (byte === QUOTE) isInText = !isInText;
    else if (isInText) at += byte === BACKSLASH ? 1 : 0;
    else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth -= 1;
    else if (byte === COMMA || byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      if (byte !== COMMA) depth += 1;
      if (--left < 0 || depth > MAX_DEPTH) throw new AuthError('MESSAGE_TOO_LARGE');
    }
  }
}

function malformed(): never {
  throw new AuthError('REQUEST_MALFORMED');
}
