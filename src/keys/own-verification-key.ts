import { type KeyObject, sign, timingSafeEqual } from 'node:crypto';
import type { SigningAlgorithm } from '../domain/signing-algorithm.ts';
import type { VerificationKey } from '../verifier/access-token.ts';
import { publicVerificationKey } from '../verifier/public-verification-key.ts';

/**
 * Ed25519 is deterministic (RFC 8032 section 5.1.6): a token is authentic if signing its content again gives the same
 * signature. That costs a third of verifying, covers every byte of the token, and accepts only the signature that was
 * made here. As with a MAC, the signature of a forged content never leaves the process. Other signatures are verified
 * as usual: those of ES256 are randomised, and RSA signs twenty times slower than it verifies.
 */
export function ownVerificationKey(
  kid: string,
  algorithm: SigningAlgorithm,
  privateKey: KeyObject,
  publicKey: KeyObject,
): VerificationKey {
  const key = publicVerificationKey(kid, algorithm, publicKey);
  if (!key) throw new Error(`the signing key ${kid} does not fit the algorithm ${algorithm}`);
  if (algorithm !== 'EdDSA') return key;
  return {
    ...key,
    hasSigned: (content, signature) => timingSafeEqual(sign(null, content, privateKey), signature),
  };
}
