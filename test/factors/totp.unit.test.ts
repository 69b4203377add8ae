import fc from 'fast-check';
import { HOTP, Secret } from 'otpauth';
import { expect, test } from 'vitest';
import { InvalidValue } from '../../src/domain/parse-fields.ts';
import { matchingTotpStep, newTotpSecret, parseTotpUri, totpSecretText, totpUri } from '../../src/factors/totp.ts';

const STEP_MS = 30_000;
const RFC_SECRET = Buffer.from('12345678901234567890');
const BASE32 = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

// RFC 6238 appendix B, SHA-1. Six digits are the last six of its eight.
test.each([
  [59, '94287082'],
  [1_111_111_109, '07081804'],
  [1_111_111_111, '14050471'],
  [1_234_567_890, '89005924'],
  [2_000_000_000, '69279037'],
  [20_000_000_000, '65353130'],
])('the code of RFC 6238 at %d s is accepted', (seconds, code) => {
  const step = Math.floor(seconds / 30);
  expect(matchingTotpStep(RFC_SECRET, code.slice(2), new Date(seconds * 1000))).toBe(step);
  expect(matchingTotpStep(RFC_SECRET, code, new Date(seconds * 1000))).toBeNull();
});

const secrets = fc.uint8Array({ minLength: 16, maxLength: 64 }).map((bytes) => Buffer.from(bytes));
const steps = fc.integer({ min: 10, max: 2 ** 33 });
const codeAt = (secret: Buffer, counter: number) =>
  HOTP.generate({ secret: Secret.fromHex(secret.toString('hex')), algorithm: 'SHA1', digits: 6, counter });

test('a code is accepted from the first millisecond of its step to the last of the next', () => {
  fc.assert(
    fc.property(secrets, steps, (secret, step) => {
      const code = codeAt(secret, step);
      // One code in 10^6 is the code of another step too.
      fc.pre([-2, -1, 1, 2].every((other) => codeAt(secret, step + other) !== code));
      const at = (ms: number) => matchingTotpStep(secret, code, new Date(step * STEP_MS + ms));
      expect([-STEP_MS, -1, 2 * STEP_MS, 3 * STEP_MS - 1].map(at)).toEqual([null, null, null, null]);
      expect([0, 1, STEP_MS - 1, STEP_MS, 2 * STEP_MS - 1].map(at)).toEqual(Array(5).fill(step));
    }),
  );
});

test('a code that two steps share counts for the later one', () => {
  const secret = Buffer.from('a secret of a shared code');
  const step = 1_077_065;
  expect([step - 1, step].map((each) => codeAt(secret, each))).toEqual(['135055', '135055']);
  expect(matchingTotpStep(secret, '135055', new Date(step * STEP_MS))).toBe(step);
});

test('a code is exactly six ASCII digits', () => {
  const now = new Date(59_000);
  const texts = [
    '',
    '28708',
    '2870822',
    ' 287082',
    '287082\n',
    '287 082',
    '+87082',
    '２８７０８２',
    '287082\0',
    '2870.2',
  ];
  expect(texts.map((text) => matchingTotpStep(RFC_SECRET, text, now))).toEqual(texts.map(() => null));
  expect(matchingTotpStep(RFC_SECRET, '287082', now)).toBe(1);
});

test('a code with leading zeros needs them', () => {
  const now = new Date(1_111_111_109_000);
  expect(matchingTotpStep(RFC_SECRET, '081804', now)).toBe(37_037_036);
  expect(matchingTotpStep(RFC_SECRET, '81804', now)).toBeNull();
});

test('a new secret has 160 random bits', () => {
  const made = Array.from({ length: 20 }, newTotpSecret);
  expect(made.map(({ length }) => length)).toEqual(made.map(() => 20));
  expect(new Set(made.map(String)).size).toBe(20);
});

test('the URI names the issuer, the account and the form of the codes', () => {
  const uri = totpUri({ secret: RFC_SECRET, issuer: 'Ada & Co', account: 'ada+1@example.com' });
  expect(uri).toMatch(/^otpauth:\/\/totp\/Ada%20%26%20Co:ada%2B1%40example\.com\?/);
  expect(Object.fromEntries(new URL(uri).searchParams)).toEqual({
    issuer: 'Ada & Co',
    secret: BASE32,
    algorithm: 'SHA1',
    digits: '6',
    period: '30',
  });
});

test('the secret of a URI is read back, with any issuer and any account', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(secrets, text, text, (secret, issuer, account) => {
      expect(parseTotpUri(totpUri({ secret, issuer, account }))).toEqual(secret);
    }),
  );
});

test('missing parameters have the default values, and base32 may be in lower case or padded', () => {
  const key = Buffer.from('0123456789abcdef');
  for (const secret of [totpSecretText(key), totpSecretText(key).toLowerCase(), `${totpSecretText(key)}======`])
    expect(parseTotpUri(`otpauth://totp/ada?secret=${secret}`)).toEqual(key);
  expect(parseTotpUri(`otpauth://totp/ada?secret=${BASE32}&algorithm=sha1&image=x`)).toEqual(RFC_SECRET);
});

test.each([
  ['no URI', BASE32, 'must be an otpauth URI of type totp'],
  ['another scheme', `https://totp/ada?secret=${BASE32}`, 'must be an otpauth URI of type totp'],
  ['another type', `otpauth://hotp/ada?secret=${BASE32}&counter=1`, 'must be an otpauth URI of type totp'],
  ['2 KiB', `otpauth://totp/${'a'.repeat(2048)}?secret=${BASE32}`, 'must be an otpauth URI of type totp'],
  ['another algorithm', `otpauth://totp/ada?secret=${BASE32}&algorithm=SHA256`, 'algorithm must be SHA1'],
  ['another algorithm, in capitals', `otpauth://totp/ada?secret=${BASE32}&Algorithm=SHA256`, 'algorithm must be SHA1'],
  ['two secrets', `otpauth://totp/ada?secret=${BASE32}&SECRET=${BASE32}`, 'must have one secret'],
  ['a letter outside ASCII', `otpauth://totp/ada?secret=${'ſ'.repeat(32)}`, 'secret must be base32'],
  ['an empty algorithm', `otpauth://totp/ada?secret=${BASE32}&algorithm=`, 'algorithm must be SHA1'],
  ['two algorithms', `otpauth://totp/ada?secret=${BASE32}&algorithm=SHA1&algorithm=MD5`, 'algorithm must be SHA1'],
  ['eight digits', `otpauth://totp/ada?secret=${BASE32}&digits=8`, 'digits must be 6'],
  ['a minute', `otpauth://totp/ada?secret=${BASE32}&period=60`, 'period must be 30'],
  ['no secret', 'otpauth://totp/ada', 'must have one secret'],
  ['two secrets', `otpauth://totp/ada?secret=${BASE32}&secret=${BASE32}`, 'must have one secret'],
  ['an empty secret', 'otpauth://totp/ada?secret=', 'secret must be base32'],
  ['other digits', `otpauth://totp/ada?secret=${BASE32.replace('G', '1')}`, 'secret must be base32'],
  ['a space', `otpauth://totp/ada?secret=${BASE32.replace('G', '+')}`, 'secret must be base32'],
  ['padding inside', `otpauth://totp/ada?secret=GEZ=${BASE32}`, 'secret must be base32'],
  ['a rest of five bits', `otpauth://totp/ada?secret=${BASE32}A`, 'secret must be base32'],
  ['unused bits that are set', `otpauth://totp/ada?secret=${BASE32}GB`, 'secret must be base32'],
  ['15 bytes', `otpauth://totp/ada?secret=${totpSecretText(Buffer.alloc(15))}`, 'secret must have 16 to 64 bytes'],
  ['65 bytes', `otpauth://totp/ada?secret=${totpSecretText(Buffer.alloc(65))}`, 'secret must have 16 to 64 bytes'],
])('a URI with %s is rejected', (_, uri, message) => {
  expect(() => parseTotpUri(uri)).toThrow(new InvalidValue(message));
});

test('any text is either parsed or rejected with a reason', () => {
  const tails = fc.oneof(fc.string(), fc.webUrl(), fc.webQueryParameters());
  const heads = fc.constantFrom('', 'otpauth://totp/', 'otpauth://totp/a?secret=', 'otpauth://[');
  fc.assert(
    fc.property(heads, tails, (head, tail) => {
      try {
        expect(parseTotpUri(head + tail).length).toBeGreaterThanOrEqual(16);
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidValue);
      }
    }),
  );
});
