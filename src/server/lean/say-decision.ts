// How a decision is said: VerifyResponse, and with the same two fields a Verdict. The principal is put into bytes once for
// each token in the cache; only the time is new.
import { create, toBinary, toJson } from '@bufbuild/protobuf';
import { PrincipalSchema } from '../../../gen/auth/v1/types_pb.ts';
import type { Decision, VerifiedToken } from '../../verifier/engine.ts';
import { principalMessage } from '../convert.ts';
import { lengthDelimitedSize, varintSize, writeLength, writeVarintField } from './wire.ts';

/** Field numbers of VerifyResponse and Verdict. */
const PRINCIPAL = 1;
const REVALIDATE_AT = 2;
/** Field numbers of google.protobuf.Timestamp. */
const SECONDS = 1;
const NANOS = 2;

export function decisionSize({ token, revalidateAt }: Decision): number {
  return (
    lengthDelimitedSize(binaryPrincipal(token).length) + lengthDelimitedSize(timestampSize(revalidateAt.getTime()))
  );
}

/** @returns where it goes on */
export function writeDecision(into: Buffer, at: number, { token, revalidateAt }: Decision): number {
  const principal = binaryPrincipal(token);
  const milliseconds = revalidateAt.getTime();
  let next = writeLength(into, at, PRINCIPAL, principal.length);
  into.set(principal, next);
  next += principal.length;
  next = writeLength(into, next, REVALIDATE_AT, timestampSize(milliseconds));
  next = writeVarintField(into, next, SECONDS, Math.floor(milliseconds / 1000));
  const nanos = nanosOf(milliseconds);
  return nanos === 0 ? next : writeVarintField(into, next, NANOS, nanos);
}

export function decisionJson({ token, revalidateAt }: Decision): string {
  return `{"principal":${jsonPrincipal(token)},"revalidateAt":"${isoTime(revalidateAt)}"}`;
}

/** Many answers of one millisecond say the same time. */
let lastTime = { milliseconds: Number.NaN, text: '' };

function isoTime(time: Date): string {
  const milliseconds = time.getTime();
  if (milliseconds !== lastTime.milliseconds) {
    // Fractions that are zero are left out, as the library does it.
    lastTime = { milliseconds, text: time.toISOString().replace('.000Z', 'Z') };
  }
  return lastTime.text;
}

function binaryPrincipal(token: VerifiedToken): Uint8Array {
  token.rendered.binary ??= toBinary(PrincipalSchema, create(PrincipalSchema, principalMessage(token.principal)));
  return token.rendered.binary;
}

function jsonPrincipal(token: VerifiedToken): string {
  token.rendered.json ??= JSON.stringify(
    toJson(PrincipalSchema, create(PrincipalSchema, principalMessage(token.principal)), { alwaysEmitImplicit: true }),
  );
  return token.rendered.json;
}

function timestampSize(milliseconds: number): number {
  const nanos = nanosOf(milliseconds);
  return 1 + varintSize(Math.floor(milliseconds / 1000)) + (nanos === 0 ? 0 : 1 + varintSize(nanos));
}

function nanosOf(milliseconds: number): number {
  return (milliseconds % 1000) * 1_000_000;
}
