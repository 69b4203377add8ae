import { createPrivateKey, createPublicKey, type KeyObject, type SignKeyObjectInput, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { exportJWK, type JWK } from 'jose';
import type { KeyRing } from '../domain/key-ring.ts';
import type { KeyState } from '../domain/key-schedule.ts';
import { decryptSecret } from '../domain/secret-encryption.ts';
import type { StoredSigningKey } from '../store/signing-key-rows.ts';
import {
  type AccessClaims,
  accessTokenHeader,
  MAX_TOKEN_LENGTH,
  type VerificationKey,
} from '../verifier/access-token.ts';
import { signatureForm } from '../verifier/public-verification-key.ts';
import { ownVerificationKey } from './own-verification-key.ts';

export type SigningKey = VerificationKey & {
  state: KeyState;
  privateKey: KeyObject;
  jwk: JWK;
  spki: Uint8Array<ArrayBuffer>;
};

/** Null for a key that was encrypted under another master key. */
export async function decryptSigningKey(stored: StoredSigningKey, encryptionKeys: KeyRing): Promise<SigningKey | null> {
  const { kid, algorithm, state } = stored;
  const decrypted = decryptSecret(stored.encryptedPrivateKey, kid, encryptionKeys);
  if (!decrypted) return null;
  const privateKey = createPrivateKey({ key: decrypted.bytes, type: 'pkcs8', format: 'der' });
  const publicKey = createPublicKey(privateKey);
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
  return { ...ownVerificationKey(kid, algorithm, privateKey, publicKey), state, privateKey, jwk, spki };
}

/** RFC 7515 section 7.1, compact serialization. */
export async function signAccessToken(claims: AccessClaims, key: SigningKey): Promise<string> {
  const content = `${encode(accessTokenHeader(key))}.${encode(claims)}`;
  const token = `${content}.${(await signatureOf(Buffer.from(content), key)).toString('base64url')}`;
  // Every verifier rejects a longer token.
  if (token.length > MAX_TOKEN_LENGTH) throw new Error(`an access token of ${token.length} characters is too long`);
  return token;
}

const signInThread = promisify<string | null, Buffer, SignKeyObjectInput, Buffer>(sign);

/** An RSA signature takes 0.8 ms. The others take less time than the way to a thread. */
function signatureOf(content: Buffer, { algorithm, privateKey }: SigningKey): Buffer | Promise<Buffer> {
  const { digest, options } = signatureForm(algorithm);
  const key = { ...options, key: privateKey };
  return algorithm === 'RS256' ? signInThread(digest, content, key) : sign(digest, content, key);
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
