import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint, exportJWK } from 'jose';
import type { KeyRing } from '../domain/key-ring.ts';
import type { KeyToAdd } from '../domain/key-schedule.ts';
import { encryptSecret } from '../domain/secret-encryption.ts';
import type { SigningAlgorithm } from '../domain/signing-algorithm.ts';
import type { NewSigningKey } from '../store/signing-key-rows.ts';

/** The `kid` is the thumbprint of the key (RFC 7638). */
export async function newSigningKey(wanted: KeyToAdd, encryptionKeys: KeyRing): Promise<NewSigningKey> {
  const { publicKey, privateKey } = await generate(wanted.algorithm);
  const kid = await calculateJwkThumbprint(await exportJWK(publicKey));
  // The command line would read a leading hyphen as an option.
  if (kid.startsWith('-')) return newSigningKey(wanted, encryptionKeys);
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'der' });
  return { ...wanted, kid, encryptedPrivateKey: encryptSecret(pkcs8, kid, encryptionKeys) };
}

/** In a thread: an RSA key takes a second on a slow machine. */
const generateInThread = promisify(generateKeyPair);
/** 128 bits of security, like the curves (NIST SP 800-57 part 1, table 2). */
const RSA_BITS = 3_072;

function generate(algorithm: SigningAlgorithm) {
  switch (algorithm) {
    case 'EdDSA':
      return generateInThread('ed25519');
    case 'ES256':
      return generateInThread('ec', { namedCurve: 'P-256' });
    case 'RS256':
      return generateInThread('rsa', { modulusLength: RSA_BITS });
  }
}
