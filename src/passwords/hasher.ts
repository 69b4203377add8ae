import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import argon2 from 'argon2';
import type { Password } from '../domain/password.ts';
import type { HashQueue } from './hash-queue.ts';
import { type Argon2Parameters, argon2Options, type HashWork } from './hash-work.ts';

export type Hasher = {
  /** A PHC string with a random salt. */
  hash(password: Password, signal?: AbortSignal): Promise<string>;
  /** With null (no account, no password) it compares with a decoy, takes as long, and is false. */
  verify(hash: string | null, password: Password, signal?: AbortSignal): Promise<boolean>;
  /** Whether a hash was made in another way than `hash` would make it now. */
  isOutdated(hash: string): boolean;
};

/** The longest that a failure is drawn out, however slow a hash was. */
const MAX_FLOOR_MS = 1_000;

export async function createHasher(parameters: Argon2Parameters, queue: HashQueue, work: HashWork): Promise<Hasher> {
  const decoy = await work.hash(randomBytes(32).toString('base64'), parameters);
  const isOutdated = (hash: string) =>
    !hash.startsWith('$argon2id$') || argon2.needsRehash(hash, argon2Options(parameters));
  /**
   * Hashes made in other ways take another time, which would tell that there is an account. So every failure takes as long
   * as the slowest of them that this process has met.
   */
  let floorMs = 0;

  return {
    hash: (password, signal) => queue.run(() => work.hash(password, parameters), signal),

    async verify(hash, password, signal) {
      let elapsedMs = 0;
      const matches = await queue.run(async () => {
        const startedAt = performance.now();
        const result = await work.compare(hash ?? decoy, password);
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
