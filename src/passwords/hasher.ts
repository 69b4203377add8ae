// The folder passwords owns password hashes, breach checks and the list of common passwords. It must not know accounts.
import argon2 from 'argon2';
import type { Password, PresentedPassword } from '../domain/password.ts';
import { createFailureWork } from './failure-work.ts';
import { kindOfArgon2 } from './families/argon2-family.ts';
import { decoysOf, kindOf } from './hash-kind.ts';
import type { HashQueue } from './hash-queue.ts';
import { type Argon2Parameters, argon2Options, type HashWork, type Outcome } from './hash-work.ts';

export type Hasher = {
  hash(password: Password, signal?: AbortSignal): Promise<string>;
  /**
   * Takes the same time for every outcome except a match. Null (no account or no password) is a mismatch. The signal
   * ends the wait in the queue only: an attempt that was examined must count.
   */
  verify(hash: string | null, presented: PresentedPassword, signal?: AbortSignal): Promise<Outcome>;
  /** Whether a hash that matched must be replaced by one of the configured parameters and the NFC of the password. */
  isOutdated(hash: string, outcome: Outcome): boolean;
  /**
   * Makes each failure take the time of all kinds in use. @param samples one hash of each. Returns the too costly
   * kinds.
   */
  useKinds(samples: string[]): string[];
};

export function createHasher(parameters: Argon2Parameters, queue: HashQueue, work: HashWork): Hasher {
  const failureWork = createFailureWork(kindOfArgon2({ type: 'id', ...parameters }));

  return {
    hash: (password, signal) => queue.run(() => work.hash(password, parameters), signal),

    async verify(hash, { password, unnormalized }, signal) {
      const kind = hash === null ? null : kindOf(hash);
      // The hash may have been written after the kinds were read.
      if (kind) failureWork.add(kind);
      const outcome = await queue.run(
        () =>
          work.compare({
            password,
            unnormalized,
            hash: kind && hash,
            instead: kind ? decoysOf(kind) : [],
            afterwards: failureWork.remaining(kind),
          }),
        signal,
      );
      return hash !== null && !kind ? 'unreadable' : outcome;
    },

    isOutdated: (hash, outcome) =>
      outcome === 'match-unnormalized' ||
      !hash.startsWith('$argon2id$v=19$') ||
      argon2.needsRehash(hash, argon2Options(parameters)),

    useKinds: (samples) => failureWork.use(samples.flatMap((sample) => kindOf(sample) ?? [])),
  };
}
