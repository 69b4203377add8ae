import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { KeyRing } from '../domain/key-ring.ts';
import { OperatorError } from '../process/operator-error.ts';

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** The `kid` is authenticated too, so that a row cannot carry the private key of another row. */
export function encryptPrivateKey(pkcs8: Buffer, kid: string, [key]: KeyRing): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(kid));
  const ciphertext = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), ciphertext]);
}

/**
 * `isCurrent` is true when the first key of the ring has encrypted it.
 * @returns null when the key was encrypted under another master key, or the row was changed
 */
export function decryptPrivateKey(
  encrypted: Buffer,
  kid: string,
  keys: KeyRing,
): { pkcs8: Buffer; isCurrent: boolean } | null {
  for (const key of keys) {
    const pkcs8 = decryptWith(encrypted, kid, key);
    if (pkcs8) return { pkcs8, isCurrent: key === keys[0] };
  }
  return null;
}

export function otherMasterKeyError(kids: string[]): OperatorError {
  return new OperatorError(
    `signing key ${kids.join(', ')} cannot be decrypted with this MASTER_KEY: it was encrypted under another one`,
  );
}

function decryptWith(encrypted: Buffer, kid: string, key: Buffer): Buffer | null {
  const iv = encrypted.subarray(0, IV_BYTES);
  const tag = encrypted.subarray(IV_BYTES, IV_BYTES + TAG_BYTES);
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(kid)).setAuthTag(tag);
    return Buffer.concat([decipher.update(encrypted.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
  } catch {
    return null;
  }
}
