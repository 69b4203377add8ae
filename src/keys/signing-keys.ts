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

export type SigningKeys = {
  verificationKeys: VerificationKey[];
  /** RFC 7517: public members only. */
  jwks: { keys: JWK[] };
  sign(claims: AccessClaims): Promise<string>;
};

type SigningKey = VerificationKey & { privateKey: KeyObject; jwk: JWK };

export async function loadSigningKeys(store: SigningKeyRows, encryptionKey: Buffer): Promise<SigningKeys> {
  let stored = await store.all();
  if (stored.length === 0) {
    await store.addFirst(await generateSigningKey(encryptionKey));
    stored = await store.all();
  }
  const keys = await Promise.all(stored.map((key) => openSigningKey(key, encryptionKey)));
  const active = keys[0];
  if (!active) throw new Error('there is no signing key, and none could be added');
  return {
    verificationKeys: keys,
    jwks: { keys: keys.map((key) => key.jwk) },
    async sign(claims) {
      const token = await new SignJWT(claims).setProtectedHeader(accessTokenHeader(active.kid)).sign(active.privateKey);
      // Rather no token than one that every verifier refuses.
      if (token.length > MAX_TOKEN_LENGTH) throw new Error(`an access token of ${token.length} characters is too long`);
      return token;
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
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
  return { kid, algorithm, privateKey, publicKey, jwk };
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
