// The prefix is for secret scanners.
import { createHash, randomBytes } from 'node:crypto';

const API_KEY = /^lka_[A-Za-z0-9_-]{43}$/;

export function newApiKey(): string {
  return `lka_${randomBytes(32).toString('base64url')}`;
}

export function isApiKey(text: string): boolean {
  return API_KEY.test(text);
}

/** A plain hash suffices, because 256 random bits cannot be guessed. */
export function apiKeyHash(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
