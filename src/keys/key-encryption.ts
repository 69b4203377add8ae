import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { KeyRing } from '../domain/key-ring.ts';
import { OperatorError } from '../process/operator-error.ts';

const IV_BYTES = 12;
const TAG_BYTES = 16;

/** AES-256-GCM; the key's id is authenticated with it, so that no row can take another row's key. */
export function encryptPrivateKey(pkcs8: Buffer, kid: string, [key]: KeyRing): Buffer {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(kid));
  const sealed = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]);
}

/** Null when all master keys are other ones, or the row was changed. `isCurrent`: the first of the keys has encrypted it. */
export function openPrivateKey(
  encrypted: Buffer,
  kid: string,
  keys: KeyRing,
): { pkcs8: Buffer; isCurrent: boolean } | null {
  for (const key of keys) {
    const pkcs8 = openWith(encrypted, kid, key);
    if (pkcs8) return { pkcs8, isCurrent: key === keys[0] };
  }
  return null;
}

/** What an operator hears of keys that do not open. */
export function foreignKeys(kids: string[]): OperatorError {
  return new OperatorError(
    `signing key ${kids.join(', ')} does not open with this MASTER_KEY: it was encrypted under another one`,
  );
}

function openWith(encrypted: Buffer, kid: string, key: Buffer): Buffer | null {
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
