import { generateKeyPairSync, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InvalidValue } from '../../src/domain/parse-fields.ts';
import { readCosePublicKey } from '../../src/factors/passkeys.ts';
import { coseKeyOf, type Encodable, encodeCbor } from '../support/authenticator.ts';

const rsa = (modulusLength: number, publicExponent = 65_537) =>
  coseKeyOf(generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey, 'RS256');
const ED25519 = coseKeyOf(generateKeyPairSync('ed25519').publicKey, 'EdDSA');
const P256 = coseKeyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey, 'ES256');
const RSA = rsa(2_048);
const point = { x: P256.subarray(10, 42), y: P256.subarray(45, 77) };

test.each([
  ['Ed25519', ED25519],
  ['P-256', P256],
  ['RSA of 2048 bits', RSA],
  ['RSA of 4096 bits', rsa(4_096)],
])('a key of %s is accepted', (_, key) => {
  expect(() => readCosePublicKey(key)).not.toThrow();
});

const cose = (...parameters: [number | string, Encodable][]) => encodeCbor(new Map(parameters));

test.each<[string, Buffer]>([
  ['nothing', Buffer.alloc(0)],
  ['no CBOR', Buffer.from([0xff])],
  ['a number', encodeCbor(1)],
  ['an empty map', cose()],
  ['trailing bytes', Buffer.concat([ED25519, Buffer.from([0])])],
  ['half a key', P256.subarray(0, 40)],
  ['RSA of 1024 bits', rsa(1_024)],
  ['RSA of 4104 bits', cose([1, 3], [3, -257], [-1, Buffer.alloc(513, 0xff)], [-2, Buffer.from([1, 0, 1])])],
  ['RSA with exponent 3', rsa(2_048, 3)],
  ['a numeric modulus', cose([1, 3], [3, -257], [-1, 5], [-2, 3])],
  ['a point off the curve', cose([1, 2], [3, -7], [-1, 1], [-2, point.x], [-3, randomBytes(32)])],
  ['a compressed point', cose([1, 2], [3, -7], [-1, 1], [-2, point.x], [-3, 1])],
  ['a short coordinate', cose([1, 2], [3, -7], [-1, 1], [-2, point.x.subarray(1)], [-3, point.y])],
  ['another curve', cose([1, 2], [3, -7], [-1, 2], [-2, point.x], [-3, point.y])],
  ['another key type', cose([1, 1], [3, -7], [-1, 1], [-2, point.x], [-3, point.y])],
  ['another algorithm', cose([1, 2], [3, -35], [-1, 1], [-2, point.x], [-3, point.y])],
  ['no algorithm', cose([1, 2], [-1, 1], [-2, point.x], [-3, point.y])],
  ['Ed25519 of 31 bytes', cose([1, 1], [3, -8], [-1, 6], [-2, randomBytes(31)])],
  ['X25519', cose([1, 1], [3, -8], [-1, 4], [-2, randomBytes(32)])],
  ['a key id', cose([1, 1], [2, Buffer.from('id')], [3, -8], [-1, 6], [-2, randomBytes(32)])],
  ['a private part', cose([1, 1], [3, -8], [-1, 6], [-2, randomBytes(32)], [-4, randomBytes(32)])],
  ['labels as text', cose(['1', 1], ['3', -8], ['-1', 6], ['-2', randomBytes(32)])],
  ['deep nesting', Buffer.alloc(16_000, 0x81)],
])('%s is rejected', (_, key) => {
  const message = 'must be a COSE public key: Ed25519, P-256, or RSA of 2048 to 4096 bits';
  expect(() => readCosePublicKey(key)).toThrow(new InvalidValue(message));
});

test('bytes are either accepted or rejected with a reason', () => {
  const changed = fc.tuple(fc.constantFrom(ED25519, P256, RSA), fc.nat(), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(changed, ([key, at, mask]) => {
      const bytes = Buffer.from(key);
      bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ mask;
      try {
        readCosePublicKey(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidValue);
      }
    }),
  );
});
