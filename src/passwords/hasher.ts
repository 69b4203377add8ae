import { randomBytes } from 'node:crypto';
import argon2, { type HashOptions } from 'argon2';
import bcrypt from 'bcrypt';
import type { Password } from '../domain/password.ts';
import type { HashQueue } from './hash-queue.ts';

/** argon2id (RFC 9106). */
export type Argon2Parameters = { memoryKib: number; iterations: number; parallelism: number };

export type Hasher = {
  /** A PHC string with a random salt. */
  hash(password: Password, signal?: AbortSignal): Promise<string>;
  /** With null (no account, no password) it compares with a decoy, takes as long, and is false. */
  verify(hash: string | null, password: Password, signal?: AbortSignal): Promise<boolean>;
  /** Whether a hash was made in another way than `hash` would make it now. */
  isOutdated(hash: string): boolean;
};

/** What other systems write; `$2a$` differs only in defects of old writers. */
const BCRYPT = /^\$2[ab]\$\d\d\$[./A-Za-z0-9]{53}$/;

export async function createHasher(parameters: Argon2Parameters, queue: HashQueue): Promise<Hasher> {
  const options: HashOptions = {
    type: argon2.argon2id,
    memoryCost: parameters.memoryKib,
    timeCost: parameters.iterations,
    parallelism: parameters.parallelism,
  };
  const decoy = await argon2.hash(randomBytes(32), options);

  return {
    hash: (password, signal) => queue.run(() => argon2.hash(password, options), signal),
    verify: (hash, password, signal) =>
      queue.run(async () => {
        if (hash && BCRYPT.test(hash)) return bcrypt.compare(password, hash);
        const matches = await argon2.verify(hash ?? decoy, password);
        return hash !== null && matches;
      }, signal),
    isOutdated: (hash) => !hash.startsWith('$argon2id$') || argon2.needsRehash(hash, options),
  };
}
