// Slow on purpose: some twenty milliseconds of a core for each hash.
import argon2, { type HashOptions } from 'argon2';
import bcrypt from 'bcrypt';
import { parseArgon2, parseBcryptCost, parseImportedHash } from './stored-hash.ts';

/** argon2id (RFC 9106). */
export type Argon2Parameters = { memoryKib: number; iterations: number; parallelism: number };

export type Comparison = {
  password: string;
  /** Null when the account does not exist or has no password. */
  hash: string | null;
  /** Hashes to compute in place of an unreadable one. */
  instead: string[];
  afterwards: string[];
};

export type Outcome = 'match' | 'mismatch' | 'unreadable';

export type HashWork = {
  /** A PHC string with a random salt. */
  hash(password: string, parameters: Argon2Parameters): Promise<string>;
  compare(comparison: Comparison): Promise<Outcome>;
};

/** bcrypt ignores further bytes, so a longer password with the same first bytes would match. */
const BCRYPT_MAX_BYTES = 72;

export const threadPoolHashing: HashWork = {
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

async function outcomeOf(hash: string, password: string): Promise<Outcome> {
  try {
    return (await matches(hash, password)) ? 'match' : 'mismatch';
  } catch {
    return 'unreadable';
  }
}

async function matches(hash: string, password: string): Promise<boolean> {
  if (parseArgon2(hash)) return argon2.verify(hash, password);
  if (parseBcryptCost(hash) !== null) {
    const fits = Buffer.byteLength(password) <= BCRYPT_MAX_BYTES;
    // `$2y$` is PHP's name for `$2b$`. `$2a$` differs only in defects of old implementations.
    return (await bcrypt.compare(password, `$2b${hash.slice(3)}`)) && fits;
  }
  const imported = parseImportedHash(hash);
  if (!imported) throw new Error('unknown form of a password hash');
  return imported.compare(password);
}

export function argon2Options({ memoryKib, iterations, parallelism }: Argon2Parameters): HashOptions {
  return { type: argon2.argon2id, memoryCost: memoryKib, timeCost: iterations, parallelism };
}
