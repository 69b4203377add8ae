import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { type CBORType, decodeCBOR } from '@levischuck/tiny-cbor';
import { invalid } from '../domain/parse-fields.ts';

/** COSE algorithms that passkeys may have, the preferred one first (RFC 9053 section 2, RFC 8812 section 2). */
export const COSE_ALGORITHMS = { EdDSA: -8, ES256: -7, RS256: -257 };

/** Labels and values of COSE keys (RFC 9052 section 7.1, RFC 9053 section 7, RFC 8230 section 4). */
const [KTY, ALG] = [1, 3];
const [CRV, X, Y] = [-1, -2, -3];
const [N, E] = [-1, -2];
const OKP = [1, 6];
const P256 = [2, 1];
const RSA = 3;

const COORDINATE_BYTES = 32;
/** Verification with a longer key would take too long. */
const [MIN_RSA_BITS, MAX_RSA_BITS] = [2_048, 4_096];
const RSA_EXPONENT = 65_537n;

type Parameters = Map<string | number, CBORType>;

/** Accepts only the required parameters (WebAuthn level 3 section 6.5.1). @throws InvalidValue */
export function readCosePublicKey(bytes: Buffer): void {
  const jwk = jwkOf(decodeMap(bytes));
  if (!jwk || !isUsable(jwk)) invalid('must be a COSE public key: Ed25519, P-256, or RSA of 2048 to 4096 bits');
}

/** @param bytes a COSE key @returns null for bytes that are no such key */
export function algorithmOf(bytes: Buffer): CBORType {
  return decodeMap(bytes).get(ALG) ?? null;
}

function decodeMap(bytes: Buffer): Parameters {
  try {
    const value = decodeCBOR(new Uint8Array(bytes));
    return value instanceof Map ? value : new Map();
  } catch {
    return new Map();
  }
}

function jwkOf(key: Parameters): JsonWebKey | null {
  const isOf = (size: number, [kty, crv]: number[]) =>
    key.size === size && key.get(KTY) === kty && key.get(CRV) === crv;
  const [x, y] = [coordinateOf(key.get(X)), coordinateOf(key.get(Y))];
  switch (key.get(ALG)) {
    case COSE_ALGORITHMS.EdDSA:
      return isOf(4, OKP) && x ? { kty: 'OKP', crv: 'Ed25519', x } : null;
    case COSE_ALGORITHMS.ES256:
      return isOf(5, P256) && x && y ? { kty: 'EC', crv: 'P-256', x, y } : null;
    case COSE_ALGORITHMS.RS256:
      return key.size === 4 && key.get(KTY) === RSA ? rsaJwk(key.get(N), key.get(E)) : null;
    default:
      return null;
  }
}

function coordinateOf(value: CBORType): string | null {
  return value instanceof Uint8Array && value.length === COORDINATE_BYTES ? encode(value) : null;
}

function rsaJwk(n: CBORType, e: CBORType): JsonWebKey | null {
  const isRight = n instanceof Uint8Array && e instanceof Uint8Array && n.length <= MAX_RSA_BITS / 8;
  return isRight ? { kty: 'RSA', n: encode(n), e: encode(e) } : null;
}

function isUsable(jwk: JsonWebKey): boolean {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey({ key: jwk, format: 'jwk' });
    const { modulusLength = 0, publicExponent } = asymmetricKeyDetails ?? {};
    return asymmetricKeyType !== 'rsa' || (modulusLength >= MIN_RSA_BITS && publicExponent === RSA_EXPONENT);
  } catch {
    // The point is not on the curve.
    return false;
  }
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
