// The keys that sign access tokens, as this process has them in memory: kept in Postgres, encrypted under the master key.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { exportJWK, type JWK, SignJWT } from 'jose';
import { singleFlight } from '../async/single-flight.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import type { KeyState, SigningAlgorithm } from '../domain/key-schedule.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { SigningKeyRows, StoredSigningKey } from '../store/signing-key-rows.ts';
import {
  type AccessClaims,
  accessTokenHeader,
  MAX_TOKEN_LENGTH,
  toLowS,
  type VerificationKey,
} from '../verifier/access-token.ts';
import { foreignKeys, openPrivateKey } from './key-encryption.ts';
import { ownVerificationKey } from './own-verification-key.ts';

export type SigningKeys = {
  verificationKeys(): VerificationKey[];
  /** RFC 7517: public members only. With the key that is to sign next. */
  jwks(): { keys: JWK[] };
  /** For those who verify without asking; SubjectPublicKeyInfo in DER. */
  publicKeys(): { kid: string; algorithm: SigningAlgorithm; publicKey: Uint8Array<ArrayBuffer> }[];
  sign(claims: AccessClaims): Promise<string>;
  /** What an operator has to mend: a key that does not open. Blind: tokens that it has signed may be about. */
  problem(): { error: OperatorError; isBlind: boolean } | null;
  /**
   * Reads again which keys there are, as of when it was asked for or later.
   * @throws AuthError DEPENDENCY_UNAVAILABLE when one that may have signed tokens does not open
   */
  reload(): Promise<void>;
};

type SigningKey = VerificationKey & {
  state: KeyState;
  privateKey: KeyObject;
  jwk: JWK;
  spki: Uint8Array<ArrayBuffer>;
};

const RETRY_AFTER_MS = 1_000;

/**
 * @param makeFirst for when there are none
 * @throws OperatorError when none of the master keys opens them
 */
export async function loadSigningKeys(
  store: Pick<SigningKeyRows, 'usable'>,
  makeFirst: () => Promise<unknown>,
  encryptionKeys: KeyRing,
): Promise<SigningKeys> {
  let keys: SigningKey[] = [];
  let foreign: StoredSigningKey[] = [];
  // One that is only published has signed nothing yet, so that this process can still tell of every token.
  const isBlind = () => foreign.some(({ state }) => state !== 'published');
  // In turn, so that what was read last is what counts.
  const read = singleFlight(async () => {
    const known = new Map(keys.map((key) => [key.kid, key]));
    const opened: SigningKey[] = [];
    const unopened: StoredSigningKey[] = [];
    for (const stored of await store.usable()) {
      const key = known.get(stored.kid) ?? (await openSigningKey(stored, encryptionKeys));
      if (key) opened.push({ ...key, state: stored.state });
      else unopened.push(stored);
    }
    foreign = unopened;
    if (isBlind()) throw errorOf(foreign);
    keys = opened;
  });
  await read();
  if (foreign.length > 0) throw errorOf(foreign);
  if (keys.length === 0) {
    await makeFirst();
    await read();
  }
  return {
    verificationKeys: () => keys,
    jwks: () => ({ keys: keys.map((key) => key.jwk) }),
    publicKeys: () => keys.map(({ kid, algorithm, spki }) => ({ kid, algorithm, publicKey: spki })),
    async sign(claims) {
      const active = keys.find(({ state }) => state === 'active');
      if (!active) throw new Error('there is no signing key');
      const header = accessTokenHeader(active);
      const token = canonical(await new SignJWT(claims).setProtectedHeader(header).sign(active.privateKey), active);
      // Rather no token than one that every verifier refuses.
      if (token.length > MAX_TOKEN_LENGTH) throw new Error(`an access token of ${token.length} characters is too long`);
      return token;
    },
    problem: () => (foreign.length > 0 ? { error: errorOf(foreign), isBlind: isBlind() } : null),
    reload: () => read().catch(toUnavailable),
  };
}

function errorOf(foreign: StoredSigningKey[]): OperatorError {
  return foreignKeys(foreign.map(({ kid }) => kid));
}

/** A key of another MASTER_KEY is for an operator to mend, and no defect: until then nobody can tell. */
function toUnavailable(error: unknown): never {
  if (!(error instanceof OperatorError)) throw error;
  throw new AuthError('DEPENDENCY_UNAVAILABLE', { retryAfterMs: RETRY_AFTER_MS, cause: error });
}

/** In the one text that is accepted. */
function canonical(token: string, { algorithm }: VerificationKey): string {
  if (algorithm === 'EdDSA') return token;
  const at = token.lastIndexOf('.') + 1;
  return token.slice(0, at) + toLowS(Buffer.from(token.slice(at), 'base64url')).toString('base64url');
}

/** Null for one of another MASTER_KEY. */
async function openSigningKey(stored: StoredSigningKey, encryptionKeys: KeyRing): Promise<SigningKey | null> {
  const { kid, algorithm, state } = stored;
  const opened = openPrivateKey(stored.encryptedPrivateKey, kid, encryptionKeys);
  if (!opened) return null;
  const privateKey = createPrivateKey({ key: opened.pkcs8, type: 'pkcs8', format: 'der' });
  const publicKey = createPublicKey(privateKey);
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
  return { ...ownVerificationKey(kid, algorithm, privateKey, publicKey), state, privateKey, jwk, spki };
}
