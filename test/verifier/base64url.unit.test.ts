import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBase64url } from '../../src/verifier/base64url.ts';

/** Null unless the text is canonical. */
function decode(text: string): Buffer | null {
  const into = Buffer.alloc(text.length);
  const length = decodeBase64url(Buffer.from(`=${text}=`), 1, text.length + 1, into);
  expect(into.subarray(Math.max(length, 0) + 3).every((byte) => byte === 0)).toBe(true);
  return length === -1 ? null : into.subarray(0, length);
}

/** The rule: a text is canonical when Buffer writes the decoded bytes in the same way. */
function expected(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}

test('any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => {
      expect(decode(Buffer.from(bytes).toString('base64url'))).toEqual(Buffer.from(bytes));
    }),
  );
});

test('every text of up to three characters, of the alphabet and beside it', () => {
  const characters = [...'AQgw01_-', ...'+/=. \0\x7f'];
  const texts = [''];
  for (const text of texts) if (text.length < 3) texts.push(...characters.map((character) => text + character));
  for (const text of texts) expect([text, decode(text)]).toEqual([text, expected(text)]);
  expect(texts).toHaveLength(1 + 15 + 15 ** 2 + 15 ** 3);
});

test('each byte at each place of four characters', () => {
  for (let place = 0; place < 4; place += 1) {
    for (let byte = 0; byte < 256; byte += 1) {
      const text = Buffer.from('AAAA');
      text[place] = byte;
      const length = decodeBase64url(text, 0, 4, Buffer.alloc(3));
      expect([byte, length]).toEqual([byte, /[\w-]/.test(String.fromCharCode(byte)) ? 3 : -1]);
    }
  }
});
