// Limits on the fields of a message, checked on its bytes before decoding: a decoder creates an object for every few
// bytes. The check takes one pass and stops at the first excess.
import { type DescField, type DescMessage, type DescMethod, ScalarType } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';
import { Authorization } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { VerifierService } from '../../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { AuthError } from '../../domain/auth-error.ts';

export type MessageBounds = {
  maxBytes: number;
  /** Counts list elements and map entries too, at any depth. For JSON: members and elements. */
  maxFields: number;
};

export const MESSAGE_BOUNDS: MessageBounds = { maxBytes: 64 * 1024, maxFields: 1_000 };
/** A batch of 1,000 elements with up to three fields each. */
export const BATCH_BOUNDS: MessageBounds = { maxBytes: 1024 * 1024, maxFields: 5_000 };
/** Envoy sends the body of a request on routes with `with_request_body`. Its headers stay within the same fields. */
export const CHECK_BOUNDS: MessageBounds = { maxBytes: 1024 * 1024, maxFields: MESSAGE_BOUNDS.maxFields };
/** Envoy nests metadata: one level of google.protobuf.Struct takes three messages. */
const MAX_DEPTH = 32;
/** The work of parsing a 64-bit number in JSON grows with the square of its digits. */
const MAX_CONSECUTIVE_DIGITS = 1_024;
const MAX_VARINT_BYTES = 10;

export function messageBounds(method: DescMethod): MessageBounds {
  if (method.parent === Authorization) return CHECK_BOUNDS;
  return method.parent === VerifierService ? BATCH_BOUNDS : MESSAGE_BOUNDS;
}

/** @throws AuthError MESSAGE_TOO_LARGE or REQUEST_MALFORMED */
export function checkMessage(desc: DescMessage, bytes: Uint8Array, maxFields: number, isJson: boolean): void {
  if (isJson) checkJson(bytes, maxFields);
  else checkProtobuf(shapeOf(desc), bytes, { at: 0, fieldsLeft: maxFields }, bytes.length, 1);
}

type Shape = Map<number, Field>;
type Field = {
  wireTypes: WireType[];
  /** Resolved late because messages can contain themselves. */
  inner: (() => Shape) | null;
  isPackable: boolean;
};
type Progress = {
  at: number;
  fieldsLeft: number;
};

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

/** All other types are varints. */
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
    if (--progress.fieldsLeft < 0) throw new AuthError('MESSAGE_TOO_LARGE');
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
    // Each element of a packed list takes at least one byte.
    else if (field?.isPackable) progress.fieldsLeft -= length;
    progress.at = next;
  }
}

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

/** Groups are rejected: no message has one. */
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
 * Checks only that the bytes are cheap to parse, not that they are JSON.
 * @throws AuthError MESSAGE_TOO_LARGE or REQUEST_MALFORMED
 */
export function checkJson(bytes: Uint8Array, maxFields: number): void {
  let [depth, left, digits] = [0, maxFields, 0];
  let isInText = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    digits = byte >= 0x30 && byte <= 0x39 ? digits + 1 : 0;
    if (digits > MAX_CONSECUTIVE_DIGITS) malformed();
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
