import { generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK } from 'jose';
import type { KeyRing } from '../domain/key-ring.ts';
import type { KeyToAdd, SigningAlgorithm } from '../domain/key-schedule.ts';
import type { NewSigningKey } from '../store/signing-key-rows.ts';
import { encryptPrivateKey } from './private-key-encryption.ts';

/** The `kid` is the thumbprint of the key (RFC 7638). */
export async function newSigningKey(wanted: KeyToAdd, encryptionKeys: KeyRing): Promise<NewSigningKey> {
  const { publicKey, privateKey } = generate(wanted.algorithm);
  const kid = await calculateJwkThumbprint(await exportJWK(publicKey));
  // The command line would read a leading hyphen as an option.
  if (kid.startsWith('-')) return newSigningKey(wanted, encryptionKeys);
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  return { ...wanted, kid, encryptedPrivateKey: encryptPrivateKey(pkcs8, kid, encryptionKeys) };
}

function generate(algorithm: SigningAlgorithm) {
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}
