// Slow on purpose: some twenty milliseconds of a core for each hash.
import argon2, { type HashOptions } from 'argon2';
import { parseStoredHash } from './stored-hash.ts';

/** argon2id (RFC 9106). */
export type Argon2Parameters = { memoryKib: number; iterations: number; parallelism: number };

export type Comparison = {
  password: string;
  /** The password as the client sent it, when that is not its NFC: other systems hash this form. */
  unnormalized: string | null;
  /** Null when the account does not exist or has no password. */
  hash: string | null;
  /** Hashes to compute in place of an unreadable one. */
  instead: string[];
  afterwards: string[];
};

/** `match-unnormalized`: the hash is of the form that the client sent. */
export type Outcome = 'match' | 'match-unnormalized' | 'mismatch' | 'unreadable';

export type HashWork = {
  /** A PHC string with a random salt. */
  hash(password: string, parameters: Argon2Parameters): Promise<string>;
  compare(comparison: Comparison): Promise<Outcome>;
};

export const threadPoolHashing: HashWork = {
  hash: (password, parameters) => argon2.hash(password, argon2Options(parameters)),

  async compare({ password, unnormalized, hash, instead, afterwards }) {
    const outcome = hash === null ? 'mismatch' : await outcomeOf(hash, password, unnormalized);
    if (isMatch(outcome)) return outcome;
    for (const decoy of outcome === 'unreadable' ? [...instead, ...afterwards] : afterwards) {
      await outcomeOf(decoy, password, unnormalized);
    }
    return outcome;
  },
};

export function isMatch(outcome: Outcome): boolean {
  return outcome === 'match' || outcome === 'match-unnormalized';
}

async function outcomeOf(text: string, password: string, unnormalized: string | null): Promise<Outcome> {
  try {
    const hash = parseStoredHash(text);
    if (!hash) return 'unreadable';
    if (await hash.compare(password)) return 'match';
    return unnormalized !== null && (await hash.compare(unnormalized)) ? 'match-unnormalized' : 'mismatch';
  } catch {
    return 'unreadable';
  }
}

export function argon2Options({ memoryKib, iterations, parallelism }: Argon2Parameters): HashOptions {
  return { type: argon2.argon2id, memoryCost: memoryKib, timeCost: iterations, parallelism };
}
