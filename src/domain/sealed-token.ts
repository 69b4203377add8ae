// The form of all opaque tokens: a prefix that names the kind (and lets secret scanners find a leaked one), then
// base64url of a payload and an HMAC-SHA256 over it. Each kind has a key of its own, so none passes as another.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from './key-ring.ts';

const MAC_BYTES = 32;

export type TokenKind = { prefix: string; payloadBytes: number };

export function sealToken(kind: TokenKind, payload: Buffer, [key]: KeyRing): string {
  return kind.prefix + Buffer.concat([payload, mac(payload, key)]).toString('base64url');
}

/** The payload, or null for anything but the one canonical text of a token made with these keys. */
export function openToken(kind: TokenKind, text: string, keys: KeyRing): Buffer | null {
  const bytes = kind.payloadBytes + MAC_BYTES;
  if (text.length !== kind.prefix.length + Math.ceil((bytes * 4) / 3) || !text.startsWith(kind.prefix)) return null;
  const encoded = text.slice(kind.prefix.length);
  const decoded = Buffer.from(encoded, 'base64url');
  // The decoder passes over foreign characters and unused bits; the encoder does not make them.
  if (decoded.length !== bytes || decoded.toString('base64url') !== encoded) return null;
  const payload = decoded.subarray(0, kind.payloadBytes);
  const given = decoded.subarray(kind.payloadBytes);
  return keys.some((key) => timingSafeEqual(given, mac(payload, key))) ? payload : null;
}

function mac(payload: Buffer, key: Buffer): Buffer {
  return createHmac('sha256', key).update(payload).digest();
}
