import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KeyRing } from '../../src/domain/key-ring.ts';
import { decryptSecret, encryptSecret } from '../../src/domain/secret-encryption.ts';

const [key, old] = [randomBytes(32), randomBytes(32)];
const SECRET = Buffer.from('a secret');

test('decryption returns what was encrypted, under each key of the ring', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.string(), (array, context) => {
      const bytes = Buffer.from(array);
      expect(decryptSecret(encryptSecret(bytes, context, [key]), context, [key, old])).toEqual({
        bytes,
        isCurrent: true,
      });
      expect(decryptSecret(encryptSecret(bytes, context, [old]), context, [key, old])).toEqual({
        bytes,
        isCurrent: false,
      });
    }),
  );
});

test('the stored form does not change: 12 bytes of nonce, 16 of tag, then the ciphertext', () => {
  const stored = Buffer.from('000102030405060708090a0b8884cd5b541893e23f48975ddfea5918e9eb4037638fea8d', 'hex');
  const zeros: KeyRing = [Buffer.alloc(32)];
  expect(decryptSecret(stored, 'row 1', zeros)).toEqual({ bytes: SECRET, isCurrent: true });
});

test('a secret of another row, of another key, or changed in any byte cannot be decrypted', () => {
  const encrypted = encryptSecret(SECRET, 'row 1', [key]);
  expect(decryptSecret(encrypted, 'row 2', [key])).toBeNull();
  expect(decryptSecret(encrypted, 'row 1', [old])).toBeNull();
  for (let at = 0; at < encrypted.length; at += 1) {
    const changed = Buffer.from(encrypted);
    changed[at] = (changed[at] ?? 0) ^ 1;
    expect(decryptSecret(changed, 'row 1', [key])).toBeNull();
    expect(decryptSecret(encrypted.subarray(0, at), 'row 1', [key])).toBeNull();
  }
});

test('equal secrets have different stored forms', () => {
  expect(encryptSecret(SECRET, 'row 1', [key])).not.toEqual(encryptSecret(SECRET, 'row 1', [key]));
});
