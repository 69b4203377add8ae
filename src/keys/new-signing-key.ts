import { generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK } from 'jose';
import type { KeyRing } from '../domain/key-ring.ts';
import type { SigningAlgorithm } from '../domain/key-schedule.ts';
import type { NewSigningKey } from '../store/signing-key-rows.ts';
import { encryptPrivateKey } from './key-encryption.ts';

/** Its `kid` is its thumbprint (RFC 7638). */
export async function newSigningKey(
  state: NewSigningKey['state'],
  algorithm: SigningAlgorithm,
  encryptionKeys: KeyRing,
): Promise<NewSigningKey> {
  const { publicKey, privateKey } = generate(algorithm);
  const kid = await calculateJwkThumbprint(await exportJWK(publicKey));
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  return { kid, algorithm, state, encryptedPrivateKey: encryptPrivateKey(pkcs8, kid, encryptionKeys) };
}

function generate(algorithm: SigningAlgorithm) {
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}
