import { algorithmOf, COSE_ALGORITHMS } from './cose-key.ts';

const SEQUENCE = 0x30;
const INTEGER = 0x02;
/** 32 bytes, and one for the sign. */
const MAX_INTEGER_BYTES = 33;

/**
 * The library also decodes other encodings of the two integers of an ECDSA signature. Only DER is accepted, so that no
 * signature has a second form. @param publicKey COSE
 */
export function isCanonicalSignature(signature: Uint8Array, publicKey: Buffer): boolean {
  if (algorithmOf(publicKey) !== COSE_ALGORITHMS.ES256) return true;
  const isSequence = signature[0] === SEQUENCE && signature[1] === signature.length - 2;
  return isSequence && endOfInteger(signature, endOfInteger(signature, 2)) === signature.length;
}

/** NaN unless a positive integer in DER begins there. */
function endOfInteger(bytes: Uint8Array, at: number): number {
  const [tag, length = 0, first = 0, second = 0] = bytes.subarray(at, at + 4);
  const isMinimal = first > 0 || (length > 1 && second >= 0x80);
  const isRight = tag === INTEGER && length >= 1 && length <= MAX_INTEGER_BYTES && first < 0x80 && isMinimal;
  return isRight ? at + 2 + length : Number.NaN;
}
