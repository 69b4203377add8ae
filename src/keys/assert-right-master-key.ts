import type { KeyRing } from '../domain/key-ring.ts';
import { decryptSecret } from '../domain/secret-encryption.ts';
import { OperatorError } from '../process/operator-error.ts';
import type { StoredSigningKey } from '../store/signing-key-rows.ts';

/** No other process could decrypt what a wrong MASTER_KEY encrypts. @throws OperatorError */
export function assertRightMasterKey(usable: StoredSigningKey[], signingKeyEncryption: KeyRing): void {
  const isRight = usable.some((key) => decryptSecret(key.encryptedPrivateKey, key.kid, signingKeyEncryption));
  if (usable.length > 0 && !isRight) {
    throw new OperatorError('no signing key can be decrypted with this MASTER_KEY: the service uses another one');
  }
}
