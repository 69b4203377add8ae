import { constants, type KeyObject, type VerifyKeyObjectInput, verify } from 'node:crypto';
import type { SigningAlgorithm } from '../domain/signing-algorithm.ts';
import type { VerificationKey } from './access-token.ts';

type Signature = SignatureForm & {
  /** Length of a signature. Null for a key of another kind (RFC 8725 section 3.1): each key has one algorithm. */
  bytesFor(key: KeyObject): number | null;
};

/** As node:crypto takes them, to sign and to verify. */
export type SignatureForm = { digest: 'sha256' | null; options: Omit<VerifyKeyObjectInput, 'key'> };

/** RFC 7518 section 3.3 requires 2,048 bits. Above the maximum a signature check would cost too much. */
const MIN_RSA_BITS = 2_048;
const MAX_RSA_BITS = 4_096;

const SIGNATURES: Record<SigningAlgorithm, Signature> = {
  EdDSA: { digest: null, options: {}, bytesFor: (key) => (key.asymmetricKeyType === 'ed25519' ? 64 : null) },
  // r and s (RFC 7518 section 3.4).
  ES256: {
    digest: 'sha256',
    options: { dsaEncoding: 'ieee-p1363' },
    bytesFor: (key) => (key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? 64 : null),
  },
  RS256: {
    digest: 'sha256',
    options: { padding: constants.RSA_PKCS1_PADDING },
    bytesFor(key) {
      const { modulusLength: bits = 0, publicExponent } = key.asymmetricKeyDetails ?? {};
      const isUsable = bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS && publicExponent === 65_537n;
      return key.asymmetricKeyType === 'rsa' && isUsable ? Math.ceil(bits / 8) : null;
    },
  },
};

export function signatureForm(algorithm: SigningAlgorithm): SignatureForm {
  return SIGNATURES[algorithm];
}

/** Null when the key does not fit the algorithm. */
export function publicVerificationKey(
  kid: string,
  algorithm: SigningAlgorithm,
  publicKey: KeyObject,
): VerificationKey | null {
  const { digest, options, bytesFor } = SIGNATURES[algorithm];
  const signatureBytes = bytesFor(publicKey);
  if (signatureBytes === null) return null;
  const key = { ...options, key: publicKey };
  return {
    kid,
    algorithm,
    signatureBytes,
    hasSigned: (content, signature) => verify(digest, content, key, signature),
  };
}
