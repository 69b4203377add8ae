import argon2 from 'argon2';
import type { Password } from '../domain/password.ts';
import { createFailureWork } from './failure-work.ts';
import { decoysOf, kindOf, kindOfArgon2 } from './hash-kind.ts';
import type { HashQueue } from './hash-queue.ts';
import { type Argon2Parameters, argon2Options, type HashWork, type Outcome } from './hash-work.ts';

export type Hasher = {
  /** A PHC string with a random salt. */
  hash(password: Password, signal?: AbortSignal): Promise<string>;
  /**
   * Every outcome but a match takes the same time. With null (no account, no password) it is a mismatch.
   * The signal ends the wait for a turn, and nothing after that: an attempt that was looked at must count.
   */
  verify(hash: string | null, password: Password, signal?: AbortSignal): Promise<Outcome>;
  /** Whether a hash was made in another way than `hash` would make it now. */
  isOutdated(hash: string): boolean;
  /**
   * Failures take the time of these kinds together, and of the configured one.
   * @param samples a hash of each kind in use
   * @returns the kinds that are too costly for that
   */
  useKinds(samples: string[]): string[];
};

export function createHasher(parameters: Argon2Parameters, queue: HashQueue, work: HashWork): Hasher {
  const failureWork = createFailureWork(kindOfArgon2(parameters));

  return {
    hash: (password, signal) => queue.run(() => work.hash(password, parameters), signal),

    async verify(hash, password, signal) {
      const kind = hash === null ? null : kindOf(hash);
      // Written since the kinds were read.
      if (kind) failureWork.add(kind);
      const outcome = await queue.run(
        () =>
          work.compare({
            password,
            hash: kind && hash,
            instead: kind ? decoysOf(kind) : [],
            afterwards: failureWork.remaining(kind),
          }),
        signal,
      );
      return hash !== null && !kind ? 'unreadable' : outcome;
    },

    isOutdated: (hash) => !hash.startsWith('$argon2id$') || argon2.needsRehash(hash, argon2Options(parameters)),

    useKinds: (samples) => failureWork.use(samples.flatMap((sample) => kindOf(sample) ?? [])),
  };
}
