// The work itself: slow on purpose, some twenty milliseconds of a core each.
import argon2, { type HashOptions } from 'argon2';
import bcrypt from 'bcrypt';
import { parseArgon2, parseBcryptCost, parseForeignHash } from './stored-hash.ts';

/** argon2id (RFC 9106). */
export type Argon2Parameters = { memoryKib: number; iterations: number; parallelism: number };

export type Comparison = {
  password: string;
  /** Null when there is nothing to compare with. */
  hash: string | null;
  /** Hashes to compute in place of one that turns out to be unreadable. */
  instead: string[];
  /** Hashes to compute besides when the password does not match. */
  afterwards: string[];
};

export type Outcome = 'match' | 'mismatch' | 'unreadable';

export type HashWork = {
  /** A PHC string with a random salt. */
  hash(password: string, parameters: Argon2Parameters): Promise<string>;
  compare(comparison: Comparison): Promise<Outcome>;
};

/** bcrypt looks at no more: what is longer would match whatever follows, so it matches nothing. */
const BCRYPT_MAX_BYTES = 72;

/** In the thread pool of this process. */
export const workHere: HashWork = {
  hash: (password, parameters) => argon2.hash(password, argon2Options(parameters)),

  async compare({ password, hash, instead, afterwards }) {
    const outcome = hash === null ? 'mismatch' : await outcomeOf(hash, password);
    if (outcome === 'match') return outcome;
    for (const decoy of outcome === 'unreadable' ? [...instead, ...afterwards] : afterwards) {
      await outcomeOf(decoy, password);
    }
    return outcome;
  },
};

/** Whatever the text is: the libraries throw for some. */
async function outcomeOf(hash: string, password: string): Promise<Outcome> {
  try {
    return (await matches(hash, password)) ? 'match' : 'mismatch';
  } catch {
    return 'unreadable';
  }
}

/** @throws for a text that is no hash, or one beyond every bound */
async function matches(hash: string, password: string): Promise<boolean> {
  if (parseArgon2(hash)) return argon2.verify(hash, password);
  if (parseBcryptCost(hash) !== null) {
    const fits = Buffer.byteLength(password) <= BCRYPT_MAX_BYTES;
    // `$2y$` is PHP's name for `$2b$`; `$2a$` differs in defects of old writers only.
    return (await bcrypt.compare(password, `$2b${hash.slice(3)}`)) && fits;
  }
  const foreign = parseForeignHash(hash);
  if (!foreign) throw new Error('unknown form of a password hash');
  return foreign.compare(password);
}

export function argon2Options({ memoryKib, iterations, parallelism }: Argon2Parameters): HashOptions {
  return { type: argon2.argon2id, memoryCost: memoryKib, timeCost: iterations, parallelism };
}
