// An API key: a prefix by which secret scanners find it, and 256 random bits.
import { createHash, randomBytes } from 'node:crypto';

const API_KEY = /^lka_[A-Za-z0-9_-]{43}$/;

export function newApiKey(): string {
  return `lka_${randomBytes(32).toString('base64url')}`;
}

export function isApiKey(text: string): boolean {
  return API_KEY.test(text);
}

/** What is kept of it: of so many random bits a plain hash tells nothing. */
export function apiKeyHash(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
