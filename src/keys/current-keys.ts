// The signing keys of a process that hears of their changes: what it does where it may have heard of nothing for too long. Then
// it may hold a key that signs no more, or one that was stolen.
import { setTimeout as sleep } from 'node:timers/promises';
import type { SigningKeys } from './signing-keys.ts';

export type CurrentKeys = Pick<SigningKeys, 'sign'> & {
  /** Reads the keys again, for all who use them. @throws when it cannot */
  reload(): Promise<void>;
  /** Whether the keys are those of now; reads them again where they may be old. */
  areCurrent(): Promise<boolean>;
};

export type CurrentKeysDeps = {
  signingKeys: SigningKeys;
  mayBeOld: () => boolean;
  /** Called after each reading. */
  onReload: () => void;
  /** Hears of keys of another master key that are to come. */
  onForeign: (error: Error) => void;
};

/** How long somebody waits for Postgres who can do with old keys. */
const READ_TIMEOUT_MS = 1_000;

export function createCurrentKeys({ signingKeys, mayBeOld, onReload, onForeign }: CurrentKeysDeps): CurrentKeys {
  async function reload(): Promise<void> {
    await signingKeys.reload();
    const problem = signingKeys.problem();
    if (problem) onForeign(problem.error);
    onReload();
  }

  return {
    reload,

    async sign(claims) {
      if (mayBeOld()) await reload();
      return signingKeys.sign(claims);
    },

    async areCurrent() {
      if (!mayBeOld()) return true;
      const reloaded = reload().then(
        () => true,
        () => false,
      );
      return Promise.race([reloaded, sleep(READ_TIMEOUT_MS, false)]);
    },
  };
}
