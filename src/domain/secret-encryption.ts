// The one way in which the service encrypts a secret that it stores: AES-256-GCM.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { KeyRing } from './key-ring.ts';

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** @param context the id of the row. It is authenticated too, so that a row cannot carry the secret of another row. */
export function encryptSecret(bytes: Buffer, context: string, [key]: KeyRing): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context));
  const ciphertext = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), ciphertext]);
}

/**
 * `isCurrent` is true when the first key of the ring has encrypted it.
 * @returns null when the secret was encrypted under another master key, or the row was changed
 */
export function decryptSecret(
  encrypted: Buffer,
  context: string,
  keys: KeyRing,
): { bytes: Buffer; isCurrent: boolean } | null {
  for (const key of keys) {
    const bytes = decryptWith(encrypted, context, key);
    if (bytes) return { bytes, isCurrent: key === keys[0] };
  }
  return null;
}

function decryptWith(encrypted: Buffer, context: string, key: Buffer): Buffer | null {
  const iv = encrypted.subarray(0, IV_BYTES);
  const tag = encrypted.subarray(IV_BYTES, IV_BYTES + TAG_BYTES);
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(context)).setAuthTag(tag);
    return Buffer.concat([decipher.update(encrypted.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
  } catch {
    return null;
  }
}
