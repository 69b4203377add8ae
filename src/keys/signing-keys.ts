// Owns the keys that sign access tokens: made on first start, kept in Postgres encrypted under the master key.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, type JWK, SignJWT } from 'jose';
import { OperatorError } from '../operator-error.ts';
import type { SigningKeyRows, StoredSigningKey } from '../store/signing-key-rows.ts';
import {
  type AccessClaims,
  accessTokenHeader,
  MAX_TOKEN_LENGTH,
  type VerificationKey,
} from '../verifier/access-token.ts';
import { decryptPrivateKey, encryptPrivateKey } from './key-encryption.ts';
import { privateVerificationKey } from './private-verification-key.ts';

export type SigningKeys = {
  verificationKeys(): VerificationKey[];
  /** RFC 7517: public members only. */
  jwks(): { keys: JWK[] };
  /** For those who verify without asking; SubjectPublicKeyInfo in DER. */
  publicKeys(): { kid: string; algorithm: string; publicKey: Uint8Array<ArrayBuffer> }[];
  sign(claims: AccessClaims): Promise<string>;
  /** Reads again which keys there are. */
  reload(): Promise<void>;
};

type SigningKey = VerificationKey & { privateKey: KeyObject; jwk: JWK; spki: Uint8Array<ArrayBuffer> };

export async function loadSigningKeys(store: SigningKeyRows, encryptionKey: Buffer): Promise<SigningKeys> {
  const read = async () => Promise.all((await store.all()).map((stored) => openSigningKey(stored, encryptionKey)));
  let keys = await read();
  if (keys.length === 0) {
    await store.addFirst(await generateSigningKey(encryptionKey));
    keys = await read();
  }
  const active = () => {
    const [first] = keys;
    if (!first) throw new Error('there is no signing key');
    return first;
  };
  active();
  return {
    verificationKeys: () => keys,
    jwks: () => ({ keys: keys.map((key) => key.jwk) }),
    publicKeys: () => keys.map(({ kid, algorithm, spki }) => ({ kid, algorithm, publicKey: spki })),
    async sign(claims) {
      const { kid, privateKey } = active();
      const token = await new SignJWT(claims).setProtectedHeader(accessTokenHeader(kid)).sign(privateKey);
      // Rather no token than one that every verifier refuses.
      if (token.length > MAX_TOKEN_LENGTH) throw new Error(`an access token of ${token.length} characters is too long`);
      return token;
    },
    async reload() {
      keys = await read();
    },
  };
}

async function generateSigningKey(encryptionKey: Buffer): Promise<StoredSigningKey> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const kid = await calculateJwkThumbprint(await exportJWK(publicKey));
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  return { kid, algorithm: 'EdDSA', encryptedPrivateKey: encryptPrivateKey(pkcs8, kid, encryptionKey) };
}

async function openSigningKey(stored: StoredSigningKey, encryptionKey: Buffer): Promise<SigningKey> {
  const { kid, algorithm } = stored;
  const privateKey = createPrivateKey({ key: decrypt(stored, encryptionKey), type: 'pkcs8', format: 'der' });
  const publicKey = createPublicKey(privateKey);
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
  return { ...privateVerificationKey(kid, privateKey), privateKey, jwk, spki };
}

function decrypt(stored: StoredSigningKey, encryptionKey: Buffer): Buffer {
  try {
    return decryptPrivateKey(stored.encryptedPrivateKey, stored.kid, encryptionKey);
  } catch {
    throw new OperatorError(
      `signing key ${stored.kid} does not open with this MASTER_KEY: it was encrypted under another one`,
    );
  }
}
