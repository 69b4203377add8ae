// The prefix lets secret scanners find a leaked token. Each kind has its own key, so no token is valid as another kind.
import type { KeyRing } from './key-ring.ts';
import { isEqual, macOf } from './mac.ts';

const MAC_BYTES = 32;

export type TokenKind = { prefix: string; payloadBytes: number };

export function sealToken(kind: TokenKind, payload: Buffer, [key]: KeyRing): string {
  return kind.prefix + Buffer.concat([payload, macOf(payload, key)]).toString('base64url');
}

/** Null unless the text is exactly what `sealToken` gives with one of the keys. */
export function unsealToken(kind: TokenKind, text: string, keys: KeyRing): Buffer | null {
  const bytes = kind.payloadBytes + MAC_BYTES;
  // Stryker disable next-line ConditionalExpression: the length bounds the work of the checks below, which reject the text too.
  if (text.length !== kind.prefix.length + Math.ceil((bytes * 4) / 3) || !text.startsWith(kind.prefix)) return null;
  const encoded = text.slice(kind.prefix.length);
  const decoded = Buffer.from(encoded, 'base64url');
  // The decoder ignores foreign characters and unused bits, which the encoder never writes.
  // Stryker disable next-line ConditionalExpression: a text of the right length in canonical form has the right number of bytes.
  if (decoded.length !== bytes || decoded.toString('base64url') !== encoded) return null;
  const payload = decoded.subarray(0, kind.payloadBytes);
  const mac = decoded.subarray(kind.payloadBytes);
  return keys.some((key) => isEqual(mac, macOf(payload, key))) ? payload : null;
}
