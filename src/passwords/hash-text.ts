// The base64 texts of hashes: standard or URL-safe, padded or not, and passlib's with a dot in place of a plus.
import { randomBytes, timingSafeEqual } from 'node:crypto';

/** For regular expressions. */
export const BASE64 = '[A-Za-z0-9+/._-]{1,172}={0,2}';

const [MIN_DIGEST_BYTES, MAX_DIGEST_BYTES] = [16, 64];

/** Null when characters are missing or superfluous. */
export function decodeBase64(text = ''): Buffer | null {
  const bytes = Buffer.from(standardOf(text), 'base64');
  return encodeBase64(bytes) === standardOf(text) ? bytes : null;
}

function standardOf(text: string): string {
  return text.replace(/[.-]/g, '+').replaceAll('_', '/').replace(/=+$/, '');
}

/** Python's base64 accepts superfluous bits in the last character, and some salts have them. Null for no bytes. */
export function decodeSalt(text = ''): Buffer | null {
  const bytes = Buffer.from(standardOf(text), 'base64');
  return bytes.length === 0 || standardOf(text).length % 4 === 1 ? null : bytes;
}

/** All digests in use are multiples of 32 bits. Most truncated texts are not. */
export function decodeDigest(text: string): Buffer | null {
  const bytes = decodeBase64(text);
  return bytes && isDigest(bytes) ? bytes : null;
}

function isDigest({ length }: Buffer): boolean {
  return length >= MIN_DIGEST_BYTES && length <= MAX_DIGEST_BYTES && length % 4 === 0;
}

export function encodeBase64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

export function randomBase64(bytes: number): string {
  return encodeBase64(randomBytes(bytes));
}

export function areEqual(computed: Buffer, stored: Buffer): boolean {
  return computed.length === stored.length && timingSafeEqual(computed, stored);
}

/** The powers of two whose sum is the number. */
export function exponentsOf(sum: number): number[] {
  return Array.from({ length: 32 }, (_, exponent) => exponent).filter((exponent) => (sum / 2 ** exponent) % 2 >= 1);
}
