import { argon2Family } from './families/argon2-family.ts';
import { bcryptFamily } from './families/bcrypt-family.ts';
import { pbkdf2Family } from './families/pbkdf2-family.ts';
import { phpassFamily } from './families/phpass-family.ts';
import { saltedSha512Family } from './families/salted-sha512-family.ts';
import { scryptFamily } from './families/scrypt-family.ts';
import { shaCryptFamily } from './families/sha-crypt-family.ts';
import type { HashFamily, StoredHash } from './hash-family.ts';

export const HASH_FAMILIES: HashFamily[] = [
  argon2Family,
  bcryptFamily,
  pbkdf2Family,
  scryptFamily,
  shaCryptFamily,
  phpassFamily,
  saltedSha512Family,
];

/** The longest stored form has some 300 characters. */
const MAX_LENGTH = 1_024;

/** Null for a text that is no hash. @throws TooCostly for a cost out of bounds */
export function parseStoredHash(text: string): StoredHash | null {
  if (text.length > MAX_LENGTH) return null;
  for (const family of HASH_FAMILIES) {
    const parsed = family.parse(text);
    if (parsed) return parsed;
  }
  return null;
}
