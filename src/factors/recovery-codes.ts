import { randomBytes } from 'node:crypto';
import { macOf } from '../domain/mac.ts';

const CODES = 10;
/** Crockford's base32: without i, l, o and u, so every lookalike stands for one digit. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
/** Five bits each. */
const CODE_LENGTH = 24;
const MAX_TEXT_LENGTH = 64;

/** Each has 120 random bits, in the form `xxxxxx-xxxxxx-xxxxxx-xxxxxx`. */
export function newRecoveryCodes(): string[] {
  return Array.from({ length: CODES }, () =>
    inGroups(Array.from(randomBytes(CODE_LENGTH), (byte) => ALPHABET[byte % 32]).join('')),
  );
}

/**
 * Accepts upper case, spaces, missing hyphens and lookalikes.
 * @returns the code in the form that `newRecoveryCodes` returns, or null for a text that cannot be a code
 */
export function parseRecoveryCode(text: string): string | null {
  if (text.length > MAX_TEXT_LENGTH) return null;
  const code = text
    .replace(/[\s\-\u2010-\u2015]/g, '')
    .toLowerCase()
    .replaceAll('o', '0')
    .replace(/[il]/g, '1');
  return code.length === CODE_LENGTH && [...code].every((digit) => ALPHABET.includes(digit)) ? inGroups(code) : null;
}

/** The form at rest: from 112 random bits on, no slow hash is needed (ASVS 6.5.2). @param code in the form of `newRecoveryCodes` */
export function recoveryCodeMac(code: string, userId: string, key: Buffer): Buffer {
  return macOf(`${userId}:${code}`, key);
}

function inGroups(code: string): string {
  return code.replace(/(.{6})(?=.)/g, '$1-');
}
