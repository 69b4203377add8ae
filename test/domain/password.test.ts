import { expect, test } from 'vitest';
import { InvalidValue } from '../../src/domain/parse-fields.ts';
import { parseNewPassword, parsePresentedPassword } from '../../src/domain/password.ts';
import { isCommonPassword } from '../../src/passwords/common-passwords.ts';

const policy = { minLength: 8, isCommon: isCommonPassword };
const context = ['ada.lovelace@example.com', 'Ada Lovelace'];

test.each([
  ['correct horse battery staple'],
  ['a'.repeat(100) + 'b'.repeat(156)],
  ['8 chars!'],
  ['пароль который я помню'],
  ['🦊🦊🦊🦊🦊🦊🦊🦊'],
  ['lovelace but with much more to it'],
])('%j may be a password', (password) => {
  expect(parseNewPassword(password, policy, context)).toBe(password.normalize('NFC'));
});

test.each([
  ['', /is required/],
  ['seven77', /at least 8/],
  ['🦊🦊🦊🦊🦊🦊🦊', /at least 8/],
  ['x'.repeat(257), /at most 256/],
  ['x'.repeat(10_000_000), /at most 256/],
  ['nul \0 inside', /NUL/],
  ['password123', /everyone tries first/],
  ['PASSWORD123', /everyone tries first/],
  ['ada.lovelace@example.com', /email, the name/],
  ['Lovelace1!', /email, the name/],
  ['lovelaceada', /email, the name/],
  ['latchkey', /email, the name/],
  ['Latchkey2026'.slice(0, 11), /email, the name/],
])('%j may not', (password, why) => {
  expect(() => parseNewPassword(password, policy, context)).toThrow(why);
});

test('the minimum can be raised', () => {
  expect(() => parseNewPassword('fourteen chars', { ...policy, minLength: 15 }, [])).toThrow(/at least 15/);
});

test('to sign in, a password of any policy will do', () => {
  expect(parsePresentedPassword('short')).toBe('short');
  expect(() => parsePresentedPassword('\0')).toThrow(InvalidValue);
});

test('one password is one, however it was typed', () => {
  expect(parsePresentedPassword('cafe\u0301 au lait')).toBe(parsePresentedPassword('caf\u00e9 au lait'));
});
