// The folder passwords owns password hashes, breach checks and the list of common passwords. It must not know accounts.
import argon2 from 'argon2';
import type { Password } from '../domain/password.ts';
import { createFailureWork } from './failure-work.ts';
import { decoysOf, kindOf, kindOfArgon2 } from './hash-kind.ts';
import type { HashQueue } from './hash-queue.ts';
import { type Argon2Parameters, argon2Options, type HashWork, type Outcome } from './hash-work.ts';

export type Hasher = {
  hash(password: Password, signal?: AbortSignal): Promise<string>;
  /**
   * Takes the same time for every outcome except a match. Null (no account or no password) is a mismatch. The signal
   * ends the wait in the queue only: an attempt that was examined must count.
   */
  verify(hash: string | null, password: Password, signal?: AbortSignal): Promise<Outcome>;
  isOutdated(hash: string): boolean;
  /**
   * Makes each failure take the time of all kinds in use. @param samples one hash of each. Returns the too costly
   * kinds.
   */
  useKinds(samples: string[]): string[];
};

export function createHasher(parameters: Argon2Parameters, queue: HashQueue, work: HashWork): Hasher {
  const failureWork = createFailureWork(kindOfArgon2(parameters));

  return {
    hash: (password, signal) => queue.run(() => work.hash(password, parameters), signal),

    async verify(hash, password, signal) {
      const kind = hash === null ? null : kindOf(hash);
      // The hash may have been written after the kinds were read.
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
