// The folder keys owns signing keys, keys derived for one purpose, API keys and service keys. It must not decide what
// the bearer of a key may do. This file holds the signing keys in memory. Postgres stores them, encrypted under the
// master key.
import { setTimeout as sleep } from 'node:timers/promises';
import type { JWK } from 'jose';
import { singleFlight } from '../async/single-flight.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import { RETRY_SOON_MS } from '../domain/retry-after.ts';
import type { SigningAlgorithm } from '../domain/signing-algorithm.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { SigningKeyRows, StoredSigningKey } from '../store/signing-key-rows.ts';
import type { AccessClaims, VerificationKey } from '../verifier/access-token.ts';
import { otherMasterKeyError } from './other-master-key-error.ts';
import { decryptSigningKey, type SigningKey, signAccessToken } from './signing-key.ts';

export type SigningKeys = {
  verificationKeys(): VerificationKey[];
  /**
   * RFC 7517, public members only. Includes the key that signs next. The keys of the algorithm in use come first:
   * python-jose fails at the first key of another kind.
   * @param algorithms empty for all
   */
  jwks(algorithms: SigningAlgorithm[]): { keys: JWK[] };
  /** SubjectPublicKeyInfo in DER. */
  publicKeys(): { kid: string; algorithm: SigningAlgorithm; publicKey: Uint8Array<ArrayBuffer> }[];
  /**
   * Reloads stale keys first: the active one could be retired or stolen.
   * @throws AuthError as reload
   */
  sign(claims: AccessClaims): Promise<string>;
  /**
   * Null when every key can be decrypted. `mayHaveSigned` is true when valid tokens can carry signatures of the others.
   */
  problem(): { error: OperatorError; mayHaveSigned: boolean } | null;
  /**
   * Reads the keys from Postgres, as of this call or later.
   * @throws AuthError DEPENDENCY_UNAVAILABLE when a key that may have signed tokens cannot be decrypted
   */
  reload(): Promise<void>;
  /** False when reloading stale keys fails or takes longer than a second. */
  areCurrent(): Promise<boolean>;
  onReload(listener: (keys: VerificationKey[]) => void): void;
};

export type SigningKeysOptions = {
  store: Pick<SigningKeyRows, 'usable'>;
  createFirst: () => Promise<unknown>;
  encryptionKeys: KeyRing;
  /** Whether the keys may have changed since the last reload without a revocation event that reached this process. */
  areStale: () => boolean;
  onUndecryptable: (error: OperatorError) => void;
};

const CURRENT_TIMEOUT_MS = 1_000;

/** @throws OperatorError when a key cannot be decrypted with this MASTER_KEY */
export async function loadSigningKeys(options: SigningKeysOptions): Promise<SigningKeys> {
  const { store, createFirst, encryptionKeys, areStale, onUndecryptable } = options;
  const listeners: ((keys: VerificationKey[]) => void)[] = [];
  let keys: SigningKey[] = [];
  let undecryptable: StoredSigningKey[] = [];
  // A published key has signed nothing yet.
  const mayHaveSigned = () => undecryptable.some(({ state }) => state !== 'published');
  // One read at a time, so that the newest read wins.
  const read = singleFlight(async () => {
    const known = new Map(keys.map((key) => [key.kid, key]));
    const decrypted: SigningKey[] = [];
    const failed: StoredSigningKey[] = [];
    for (const stored of await store.usable()) {
      const key = known.get(stored.kid) ?? (await decryptSigningKey(stored, encryptionKeys));
      if (key) decrypted.push({ ...key, state: stored.state });
      else failed.push(stored);
    }
    undecryptable = failed;
    if (mayHaveSigned()) throw errorOf(undecryptable);
    keys = decrypted;
  });
  await read();
  if (undecryptable.length > 0) throw errorOf(undecryptable);
  if (keys.length === 0) {
    await createFirst();
    await read();
  }

  async function reload(): Promise<void> {
    await read().catch(toUnavailable);
    if (undecryptable.length > 0) onUndecryptable(errorOf(undecryptable));
    for (const listener of listeners) listener(keys);
  }

  return {
    verificationKeys: () => keys,
    jwks: (algorithms) => ({
      keys: inOrderOfUse(keys)
        .filter((key) => algorithms.length === 0 || algorithms.includes(key.algorithm))
        .map(({ jwk }) => jwk),
    }),
    publicKeys: () => keys.map(({ kid, algorithm, spki }) => ({ kid, algorithm, publicKey: spki })),
    async sign(claims) {
      if (areStale()) await reload();
      const active = keys.find(({ state }) => state === 'active');
      if (!active) throw new Error('there is no active signing key');
      return signAccessToken(claims, active);
    },
    problem: () =>
      undecryptable.length > 0 ? { error: errorOf(undecryptable), mayHaveSigned: mayHaveSigned() } : null,
    reload,
    async areCurrent() {
      if (!areStale()) return true;
      const reloaded = reload().then(
        () => true,
        () => false,
      );
      return Promise.race([reloaded, sleep(CURRENT_TIMEOUT_MS, false)]);
    },
    onReload: (listener) => void listeners.push(listener),
  };
}

/** The active key, the other keys of its algorithm, then those of other algorithms. */
function inOrderOfUse(keys: SigningKey[]): SigningKey[] {
  const active = keys.find(({ state }) => state === 'active');
  const rank = (key: SigningKey) => (key === active ? 0 : key.algorithm === active?.algorithm ? 1 : 2);
  return keys.toSorted((one, other) => rank(one) - rank(other));
}

function errorOf(undecryptable: StoredSigningKey[]): OperatorError {
  return otherMasterKeyError(undecryptable.map(({ kid }) => kid));
}

/** An operator must correct MASTER_KEY. Until then calls can be retried, so the error is no internal one. */
function toUnavailable(error: unknown): never {
  if (!(error instanceof OperatorError)) throw error;
  throw new AuthError('DEPENDENCY_UNAVAILABLE', { retryAfterMs: RETRY_SOON_MS, cause: error });
}
