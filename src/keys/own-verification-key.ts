import { type KeyObject, sign, timingSafeEqual } from 'node:crypto';
import type { SigningAlgorithm } from '../domain/key-schedule.ts';
import { publicVerificationKey, type VerificationKey } from '../verifier/access-token.ts';

/**
 * Ed25519 is deterministic (RFC 8032 section 5.1.6): a token is authentic if signing its content again gives the same
 * signature. That costs a third of verifying, covers every byte of the token, and accepts only the signature that was
 * made here. As with a MAC, the signature of a forged content never leaves the process. ES256 signatures are
 * randomised, so they are verified as usual.
 */
export function ownVerificationKey(
  kid: string,
  algorithm: SigningAlgorithm,
  privateKey: KeyObject,
  publicKey: KeyObject,
): VerificationKey {
  if (algorithm !== 'EdDSA') return publicVerificationKey(kid, algorithm, publicKey);
  return {
    kid,
    algorithm,
    hasSigned(content, signature) {
      const own = sign(null, content, privateKey);
      return own.length === signature.length && timingSafeEqual(own, signature);
    },
  };
}
