import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
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

/** What other systems write: `$2y$` is PHP's name for `$2b$`; `$2a$` differs in defects of old writers only. */
const BCRYPT = /^\$2[aby](\$\d\d\$[./A-Za-z0-9]{53})$/;
/** bcrypt looks at no more: what is longer would match whatever follows, so it matches nothing. */
const BCRYPT_MAX_BYTES = 72;
/** The longest that a failure is drawn out, however slow a hash was. */
const MAX_FLOOR_MS = 1_000;

export async function createHasher(parameters: Argon2Parameters, queue: HashQueue): Promise<Hasher> {
  const options: HashOptions = {
    type: argon2.argon2id,
    memoryCost: parameters.memoryKib,
    timeCost: parameters.iterations,
    parallelism: parameters.parallelism,
  };
  const decoy = await argon2.hash(randomBytes(32), options);
  const isOutdated = (hash: string) => !hash.startsWith('$argon2id$') || argon2.needsRehash(hash, options);
  /**
   * Hashes made in other ways take another time, which would tell that there is an account. So every failure takes as long
   * as the slowest of them that this process has met.
   */
  let floorMs = 0;

  return {
    hash: (password, signal) => queue.run(() => argon2.hash(password, options), signal),

    async verify(hash, password, signal) {
      let elapsedMs = 0;
      const matches = await queue.run(async () => {
        const startedAt = performance.now();
        const result = await compare(hash ?? decoy, password);
        elapsedMs = performance.now() - startedAt;
        return result;
      }, signal);
      if (hash && isOutdated(hash)) floorMs = Math.max(floorMs, Math.min(elapsedMs, MAX_FLOOR_MS));
      if (hash && matches) return true;
      // Not cut short by the signal: the password has been looked at, and that must count.
      await sleep(Math.max(0, floorMs - elapsedMs));
      return false;
    },

    isOutdated,
  };
}

async function compare(hash: string, password: Password): Promise<boolean> {
  const [, rest] = BCRYPT.exec(hash) ?? [];
  if (!rest) return argon2.verify(hash, password);
  const fits = Buffer.byteLength(password) <= BCRYPT_MAX_BYTES;
  return (await bcrypt.compare(password, `$2b${rest}`)) && fits;
}
