// The keys that sign access tokens, as this process has them in memory: kept in Postgres, encrypted under the master key.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { exportJWK, type JWK, SignJWT } from 'jose';
import { coalesced } from '../coalesced.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import type { KeyState, SigningAlgorithm } from '../domain/key-schedule.ts';
import { OperatorError } from '../operator-error.ts';
import type { SigningKeyRows, StoredSigningKey } from '../store/signing-key-rows.ts';
import {
  type AccessClaims,
  accessTokenHeader,
  MAX_TOKEN_LENGTH,
  toLowS,
  type VerificationKey,
} from '../verifier/access-token.ts';
import { decryptPrivateKey } from './key-encryption.ts';
import { ownVerificationKey } from './own-verification-key.ts';

export type SigningKeys = {
  verificationKeys(): VerificationKey[];
  /** RFC 7517: public members only. With the key that is to sign next. */
  jwks(): { keys: JWK[] };
  /** For those who verify without asking; SubjectPublicKeyInfo in DER. */
  publicKeys(): { kid: string; algorithm: SigningAlgorithm; publicKey: Uint8Array<ArrayBuffer> }[];
  sign(claims: AccessClaims): Promise<string>;
  /**
   * Reads again which keys there are, as of when it was asked for or later.
   * @throws AuthError DEPENDENCY_UNAVAILABLE when there is one that does not open
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
  // In turn, so that what was read last is what counts.
  const reload = coalesced(async () => {
    const known = new Map(keys.map((key) => [key.kid, key]));
    const open = async (stored: StoredSigningKey): Promise<SigningKey> => {
      const key = known.get(stored.kid);
      return key ? { ...key, state: stored.state } : openSigningKey(stored, encryptionKeys);
    };
    keys = await Promise.all((await store.usable()).map(open));
  });
  await reload();
  if (keys.length === 0) {
    await makeFirst();
    await reload();
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
    reload: () => reload().catch(toUnavailable),
  };
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

async function openSigningKey(stored: StoredSigningKey, encryptionKeys: KeyRing): Promise<SigningKey> {
  const { kid, algorithm, state } = stored;
  const { pkcs8 } = decryptPrivateKey(stored.encryptedPrivateKey, kid, encryptionKeys);
  const privateKey = createPrivateKey({ key: pkcs8, type: 'pkcs8', format: 'der' });
  const publicKey = createPublicKey(privateKey);
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
  return { ...ownVerificationKey(kid, algorithm, privateKey, publicKey), state, privateKey, jwk, spki };
}
