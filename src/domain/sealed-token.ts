// The form of all opaque tokens: a prefix, then base64url of a payload and its MAC. The prefix names the kind and lets
// secret scanners find a leaked token. Each kind has its own key, so a token of one kind is invalid as another.
import type { KeyRing } from './key-ring.ts';
import { isEqual, macOf } from './mac.ts';

const MAC_BYTES = 32;

export type TokenKind = { prefix: string; payloadBytes: number };

export function sealToken(kind: TokenKind, payload: Buffer, [key]: KeyRing): string {
  return kind.prefix + Buffer.concat([payload, macOf(payload, key)]).toString('base64url');
}

/** @returns the payload; null unless the text is exactly what `sealToken` gives with one of the keys */
export function unsealToken(kind: TokenKind, text: string, keys: KeyRing): Buffer | null {
  const bytes = kind.payloadBytes + MAC_BYTES;
  if (text.length !== kind.prefix.length + Math.ceil((bytes * 4) / 3) || !text.startsWith(kind.prefix)) return null;
  const encoded = text.slice(kind.prefix.length);
  const decoded = Buffer.from(encoded, 'base64url');
  // The decoder ignores foreign characters and unused bits. The encoder never writes them.
  if (decoded.length !== bytes || decoded.toString('base64url') !== encoded) return null;
  const payload = decoded.subarray(0, kind.payloadBytes);
  const mac = decoded.subarray(kind.payloadBytes);
  return keys.some((key) => isEqual(mac, macOf(payload, key))) ? payload : null;
}
