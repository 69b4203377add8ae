// The forms in which other systems export password hashes, translated into the stored forms.
import { invalid } from '../domain/parse-fields.ts';
import { parseArgon2 } from './families/argon2-family.ts';
import { translateForeign } from './foreign-forms.ts';
import { TooCostly } from './hash-family.ts';
import { rejectionOf } from './rejected-hashes.ts';
import { parseStoredHash } from './stored-hash.ts';

const MAX_LENGTH = 4_096;
/** Tighter than those of the configuration. */
const ARGON2_BOUNDS = { memoryKib: 262_144, iterations: 20 };
const TOO_COSTLY =
  'costs more or less than a sign-in may (the guide "Moving in" has the bounds): import the account without a hash, and the user sets a password by the reset mail';
const UNKNOWN =
  'must be a hash of a form that the guide "Moving in" lists, such as argon2, bcrypt, scrypt or PBKDF2, complete and unchanged';
/** Django's "unusable" passwords, and locked accounts of Unix. */
const NO_PASSWORD = /^(!.*|\*|\*LK\*|\*NP\*)$/;

/** Returns the stored form, or null for an account without a password. @throws InvalidValue */
export function parseImportedHash(text: string): string | null {
  if (text === '' || NO_PASSWORD.test(text)) return null;
  if (text.length > MAX_LENGTH) invalid(`must be at most ${MAX_LENGTH} characters long`);
  const stored = translated(text);
  return isComputable(stored) ? stored : invalid(rejectionOf(text) ?? UNKNOWN);
}

/** A form can contain another one: Spring's `{argon2}` contains a PHC string, and Keycloak's JSON a bcrypt hash. */
function translated(text: string): string {
  const once = translateForeign(text);
  return once === null ? text : (translateForeign(once) ?? once);
}

function isComputable(stored: string): boolean {
  try {
    const argon2 = parseArgon2(stored);
    if (argon2 && (argon2.memoryKib > ARGON2_BOUNDS.memoryKib || argon2.iterations > ARGON2_BOUNDS.iterations)) {
      throw new TooCostly();
    }
    return parseStoredHash(stored) !== null;
  } catch (error) {
    if (error instanceof TooCostly) return invalid(TOO_COSTLY);
    throw error;
  }
}
