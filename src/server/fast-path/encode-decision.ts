// Encodes a decision as VerifyResponse, and with the same two fields as Verdict. The cache keeps the bytes of the
// principal with each token. Only the time is written again.
import { create, toJson } from '@bufbuild/protobuf';
import { PrincipalKind, PrincipalSchema } from '../../../gen/latchkey/auth/v1/types_pb.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import type { Decision, VerifiedToken } from '../../verifier/engine.ts';
import { principalMessage } from '../rpc/messages.ts';
import { lengthDelimitedSize, varintSize, writeLength, writeVarintField } from './protobuf-wire.ts';

/** Field numbers of VerifyResponse and Verdict. */
const PRINCIPAL = 1;
const REVALIDATE_AT = 2;
/** Field numbers of Principal. */
const KIND = 1;
const USER_ID = 2;
const SESSION_ID = 3;
const EMAIL = 4;
const ROLE = 5;
const ISSUED_AT = 6;
const EXPIRES_AT = 7;
const SERVICE_ACCOUNT_ID = 8;
const SERVICE = 9;
const EMAIL_VERIFIED = 10;
const ACR = 11;
const AMR = 12;
const AUTH_TIME = 13;
/** Field numbers of google.protobuf.Timestamp. */
const SECONDS = 1;
const NANOS = 2;

export function decisionSize({ token, revalidateAt }: Decision): number {
  return (
    lengthDelimitedSize(binaryPrincipal(token).length) + lengthDelimitedSize(timestampSize(revalidateAt.getTime()))
  );
}

/** @returns the next offset */
export function writeDecision(into: Buffer, at: number, { token, revalidateAt }: Decision): number {
  const principal = binaryPrincipal(token);
  const milliseconds = revalidateAt.getTime();
  let next = writeLength(into, at, PRINCIPAL, principal.length);
  into.set(principal, next);
  next += principal.length;
  return writeTimestamp(into, next, REVALIDATE_AT, milliseconds);
}

export function decisionJson({ token, revalidateAt }: Decision): string {
  return `{"principal":${jsonPrincipal(token)},"revalidateAt":"${isoTime(revalidateAt)}"}`;
}

/** Many responses within one millisecond contain the same time. */
let lastTime = { milliseconds: Number.NaN, text: '' };

function isoTime(time: Date): string {
  const milliseconds = time.getTime();
  if (milliseconds !== lastTime.milliseconds) {
    // The library leaves out zero fractions.
    lastTime = { milliseconds, text: time.toISOString().replace('.000Z', 'Z') };
  }
  return lastTime.text;
}

function binaryPrincipal(token: VerifiedToken): Uint8Array {
  token.rendered.binary ??= encodePrincipal(token.principal);
  return token.rendered.binary;
}

type Texts = [field: number, text: string][];

/** By hand, because a token that is seen only once also needs speed. */
function encodePrincipal(principal: TokenPrincipal): Buffer {
  const { kind, roles, issuedAt, expiresAt } = principal;
  const texts: Texts = roles.map((role) => [ROLE, role]);
  let more: Texts;
  if (kind === 'service')
    more = [
      [SERVICE_ACCOUNT_ID, principal.serviceAccountId],
      [SERVICE, principal.name],
    ];
  else {
    texts.unshift([USER_ID, principal.userId], [SESSION_ID, principal.sessionId], [EMAIL, principal.email]);
    more = [[ACR, principal.acr], ...principal.amr.map((method): Texts[number] => [AMR, method])];
  }
  const times: [field: number, milliseconds: number][] = [
    [ISSUED_AT, issuedAt.getTime()],
    [EXPIRES_AT, expiresAt.getTime()],
  ];
  // The library leaves out `false`, and a time that is not set.
  const isVerified = kind === 'user' && principal.emailVerified;
  const authTime = kind === 'user' ? principal.authTime : null;
  let size = isVerified ? 4 : 2;
  for (const [, text] of texts) size += lengthDelimitedSize(Buffer.byteLength(text));
  for (const [, text] of more) size += lengthDelimitedSize(Buffer.byteLength(text));
  for (const [, milliseconds] of times) size += lengthDelimitedSize(timestampSize(milliseconds));
  if (authTime) size += lengthDelimitedSize(timestampSize(authTime.getTime()));
  // Not from Node's buffer pool: a cached token would keep a whole slab of it in memory.
  const into = Buffer.allocUnsafeSlow(size);
  let at = writeVarintField(into, 0, KIND, kind === 'service' ? PrincipalKind.SERVICE : PrincipalKind.USER);
  at = writeTexts(into, at, texts);
  for (const [field, milliseconds] of times) at = writeTimestamp(into, at, field, milliseconds);
  if (isVerified) at = writeVarintField(into, at, EMAIL_VERIFIED, 1);
  at = writeTexts(into, at, more);
  if (authTime) writeTimestamp(into, at, AUTH_TIME, authTime.getTime());
  return into;
}

function writeTexts(into: Buffer, start: number, texts: Texts): number {
  let at = start;
  for (const [field, text] of texts) {
    at = writeLength(into, at, field, Buffer.byteLength(text));
    at += into.write(text, at);
  }
  return at;
}

function jsonPrincipal(token: VerifiedToken): string {
  token.rendered.json ??= escapeNonAscii(
    JSON.stringify(
      toJson(PrincipalSchema, create(PrincipalSchema, principalMessage(token.principal)), { alwaysEmitImplicit: true }),
    ),
  );
  return token.rendered.json;
}

function escapeNonAscii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function writeTimestamp(into: Buffer, at: number, field: number, milliseconds: number): number {
  const length = writeLength(into, at, field, timestampSize(milliseconds));
  const next = writeVarintField(into, length, SECONDS, Math.floor(milliseconds / 1000));
  const nanos = nanosOf(milliseconds);
  return nanos === 0 ? next : writeVarintField(into, next, NANOS, nanos);
}

function timestampSize(milliseconds: number): number {
  const nanos = nanosOf(milliseconds);
  return 1 + varintSize(Math.floor(milliseconds / 1000)) + (nanos === 0 ? 0 : 1 + varintSize(nanos));
}

function nanosOf(milliseconds: number): number {
  return (milliseconds % 1000) * 1_000_000;
}
