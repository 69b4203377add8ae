// Signing keys that are the same in each run, and signatures that are the same too. They protect nothing.
import {
  constants,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  sign,
} from 'node:crypto';
import { readFileSync } from 'node:fs';

export type Signer = {
  kid: string;
  algorithm: string;
  /** SubjectPublicKeyInfo in DER. */
  spki: Buffer;
  sign(content: Buffer): Buffer;
};

const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

export function ed25519(seed: string): Signer {
  const key = createPrivateKey({
    key: Buffer.concat([ED25519_PKCS8, digest(seed)]),
    format: 'der',
    type: 'pkcs8',
  });
  return { ...publicPart('EdDSA', key), sign: (content) => sign(null, content, key) };
}

export function p256(seed: string): Signer {
  const secret = digest(seed);
  const point = pointOf(secret);
  const jwk = { kty: 'EC', crv: 'P-256', d: encoded(secret), x: encoded(point.x), y: encoded(point.y) };
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  return { ...publicPart('ES256', key), sign: (content) => signDeterministically(secret, content) };
}

export function rsa(): Signer & { signPss(content: Buffer): Buffer } {
  const jwk = JSON.parse(readFileSync(new URL('rsa-key.json', import.meta.url), 'utf8')) as JsonWebKey;
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  // A salt of length 0 gives the same signature each time.
  const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 0 };
  return {
    ...publicPart('RS256', key),
    sign: (content) => sign('sha256', content, key),
    signPss: (content) => sign('sha256', content, pss),
  };
}

/** ECDSA (FIPS 186-5 section 6.4.1) with a number that follows from key and message: node:crypto takes a random one. */
function signDeterministically(secret: Buffer, content: Buffer): Buffer {
  const k = createHmac('sha256', secret).update(content).digest();
  const r = toInteger(pointOf(k).x) % P256_ORDER;
  const s = (inverse(toInteger(k)) * (toInteger(digest(content)) + r * toInteger(secret))) % P256_ORDER;
  return Buffer.concat([toBytes(r), toBytes(s)]);
}

function pointOf(secret: Buffer): { x: Buffer; y: Buffer } {
  const curve = createECDH('prime256v1');
  curve.setPrivateKey(secret);
  const point = curve.getPublicKey();
  return { x: point.subarray(1, 33), y: point.subarray(33) };
}

/** By Fermat's little theorem. */
function inverse(number: bigint): bigint {
  let [result, base, exponent] = [1n, number % P256_ORDER, P256_ORDER - 2n];
  for (; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * base) % P256_ORDER;
    base = (base * base) % P256_ORDER;
  }
  return result;
}

function publicPart(algorithm: string, key: KeyObject): Omit<Signer, 'sign'> {
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return { kid: encoded(digest(spki)), algorithm, spki };
}

function digest(content: string | Buffer): Buffer {
  return createHash('sha256').update(content).digest();
}

function encoded(bytes: Buffer): string {
  return bytes.toString('base64url');
}

function toInteger(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

function toBytes(number: bigint): Buffer {
  return Buffer.from(number.toString(16).padStart(64, '0'), 'hex');
}
