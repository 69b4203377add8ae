import { type KeyObject, sign, timingSafeEqual } from 'node:crypto';
import type { SigningAlgorithm } from '../domain/key-schedule.ts';
import { publicVerificationKey, type VerificationKey } from '../verifier/access-token.ts';

/**
 * The key for our own processes, which hold its private half. Ed25519 is deterministic (RFC 8032 section 5.1.6), so a token
 * is authentic if signing its content again gives its signature: a third of the cost of verifying it, and stricter, because
 * of all signatures that a verifier might take only the one that was made here passes. It covers every byte of the token.
 * As with any MAC, the right signature of a forged content is computed and compared here, and never leaves.
 * ES256 signs with a number that is new each time: it is verified as by anybody else.
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
