import { randomBytes, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { newRecoveryCodes, parseRecoveryCode, recoveryCodeMac } from '../../src/factors/recovery-codes.ts';

const CODE = '01abcd-efghjk-mnpqrs-tvwxyz';

test('ten different codes of 120 bits', () => {
  const codes = newRecoveryCodes();
  expect(new Set(codes).size).toBe(10);
  for (const code of codes) expect(code).toMatch(/^([0-9a-hjkmnp-tv-z]{6}-){3}[0-9a-hjkmnp-tv-z]{6}$/);
});

test('every character of the alphabet is about equally frequent', () => {
  const text = Array.from({ length: 400 }, newRecoveryCodes).flat().join('').replaceAll('-', '');
  const counts = [...new Set(text)].map((character) => text.split(character).length - 1);
  const expected = text.length / 32;
  const chiSquared = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(counts).toHaveLength(32);
  // Exceeded by chance once in 10^9 runs, with 31 degrees of freedom.
  expect(chiSquared).toBeLessThan(110);
});

test('a code is read as people write it', () => {
  const spellings = [
    CODE,
    CODE.toUpperCase(),
    CODE.replaceAll('-', ''),
    CODE.replaceAll('-', ' '),
    `  ${CODE}\r\n`,
    CODE.replaceAll('-', ' – '),
    [...CODE.replaceAll('-', '')].join(' '),
    CODE.replace('0', 'o').replace('1', 'l'),
    CODE.replace('0', 'O').replace('1', 'I'),
    CODE.replace('0', 'O').replace('1', 'i').toUpperCase(),
  ];
  expect(spellings.map(parseRecoveryCode)).toEqual(spellings.map(() => CODE));
  for (const code of newRecoveryCodes()) expect(parseRecoveryCode(code)).toBe(code);
});

test('another text is no code', () => {
  const texts = ['', '-', CODE.slice(1), `${CODE}0`, CODE.replace('a', 'u'), CODE.replace('a', 'é'), `${CODE}.`];
  const long = [CODE + ' '.repeat(38), ' '.repeat(10_000_000)];
  expect([...texts, ...long].map(parseRecoveryCode)).toEqual([...texts, ...long].map(() => null));
  expect(parseRecoveryCode(CODE + ' '.repeat(37))).toBe(CODE);
});

test('any text is either a code in its one form or no code', () => {
  const characters = fc.constantFrom(...'0123456789abcdefghijklmnopqrstuvwxyzABCILOU- \u2010ſK');
  fc.assert(
    fc.property(fc.string({ unit: characters, minLength: 15, maxLength: 30 }), (text) => {
      const code = parseRecoveryCode(text);
      if (code !== null) expect(parseRecoveryCode(code)).toBe(code);
    }),
  );
});

test('the MAC depends on the code, the user and the key', () => {
  const [key, userId] = [randomBytes(32), randomUUID()];
  const mac = recoveryCodeMac(CODE, userId, key);
  expect(mac).toHaveLength(32);
  expect(recoveryCodeMac(CODE, userId, key)).toEqual(mac);
  expect(recoveryCodeMac(CODE.replace('a', 'b'), userId, key)).not.toEqual(mac);
  expect(recoveryCodeMac(CODE, randomUUID(), key)).not.toEqual(mac);
  expect(recoveryCodeMac(CODE, userId, randomBytes(32))).not.toEqual(mac);
});
