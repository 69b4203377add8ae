import { expect, test } from 'vitest';
import { InvalidValue } from '../../src/domain/parse-fields.ts';
import { parseNewPassword, parsePresentedPassword } from '../../src/domain/password.ts';
import { loadCommonPasswords } from '../../src/passwords/common-passwords.ts';

const isCommon = loadCommonPasswords();
const policy = { minLength: 8, isCommon, contextWords: ['acme', 'rocket skates'] };
const context = ['ada.lovelace@example.com', 'Ada Lovelace'];

test.each([
  ['correct horse battery staple'],
  ['8 chars!'],
  ['пароль который я помню'],
  ['🦊🐝🐢🦉🐳🦀🐙🦔'],
  ['a phrase with password in it'],
  ['monkeys type 12345 letters a day'],
  ['acme sold me no anvils'],
  ['k7#mPq2x'],
  ['lovelace but with much more to it'],
])('%j is accepted', (password) => {
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
  ['Latchkey2026', /email, the name/],
  ['L4tchk3y!!', /email, the name/],
  ['Acme2024!', /deployment's own words/],
  ['RocketSkates99', /deployment's own words/],
  ['r0cket 5kates', /deployment's own words/],
])('%j is rejected', (password, why) => {
  expect(() => parseNewPassword(password, policy, context)).toThrow(why);
});

test('the minimum can be raised', () => {
  expect(() => parseNewPassword('fourteen chars', { ...policy, minLength: 15 }, [])).toThrow(/at least 15/);
});

test('a sign-in accepts a password of any policy', () => {
  expect(parsePresentedPassword('short')).toEqual({ password: 'short', unnormalized: null });
  expect(() => parsePresentedPassword('\0')).toThrow(InvalidValue);
});

test('Unicode spellings of one password are equal', () => {
  const [decomposed, composed] = ['cafe\u0301 au lait', 'caf\u00e9 au lait'];
  expect(parsePresentedPassword(decomposed)).toEqual({ password: composed, unnormalized: decomposed });
  expect(parsePresentedPassword(composed)).toEqual({ password: composed, unnormalized: null });
});

test.each([
  ...['00000000', '123123123', 'aaaaaaaaaaaaaaa', ' '.repeat(15), 'abcabcabcabc', 'hahahahaha', '🦊🦊🦊🦊🦊🦊🦊🦊'],
  ...['bananabanana', 'abcabcab', 'ababababab', '\u00e9'.repeat(20), 'x'.repeat(256)],
])('%j is rejected as a repetition', (password) => {
  expect(() => parseNewPassword(password, policy, [])).toThrow(/short text that is repeated/);
});

test.each([
  ...['87654321', 'abcdefgh', 'zyxwvutsr', '11223344', 'aabbccdd', '111222333444555', 'a1b2c3d4e5', 'абвгдежз'],
  ...['qwertyuiop', '1q2w3e4r5t', '1qaz2wsx3edc', 'zaq12wsx', '5tgb6yhn7ujm', 'qazwsxedc', 'qweasdzxc', 'lkjhgfdsa'],
  ...['qwertzuiop', 'yxcvbnm,', 'azertyuiop', 'wxcvbn,;', 'йцукенгш', '!@#$%^&*', '!QAZ2wsx', 'zxcvbnm,./'],
  ...['abcd1234', '1234qwer', 'qwerty12345', 'abcdefgh1!', '00000001', 'Aa123456!', '19901224', '24.12.1990'],
  ...['123456789012345', 'abcdefghijklmnop', 'qwertyuiopasdfg', 'a'.repeat(100) + 'b'.repeat(156)],
])('%j is rejected as a run, a walk or a date', (password) => {
  expect(() => parseNewPassword(password, policy, [])).toThrow(/a run such as/);
});

test.each([
  ...[
    'Password1!',
    'P@ssw0rd2024',
    'p@$$w0rd',
    'passw0rd!!!',
    '!!password',
    'PasswordPassword',
    'Summer2024!',
    'w1nter2025',
  ],
  ...['Monkey123!', 'letmein123', 'iloveyou!!', 'Welcome1', 'dragon!!', '$unshine1', 'Liverp00l', 'trustno1!'],
  ...['momsanaladventure', '30secondstomars', 'ihateyousomuch'.slice(0, 8), 'manchesterunited'],
])('%j is rejected as a common word with little around it', (password) => {
  expect(() => parseNewPassword(password, policy, [])).toThrow(/everyone tries first/);
});

test('no error message repeats the password', () => {
  for (const password of ['password123', '87654321', 'Latchkey2026', 'abcabcabc', 'RocketSkates99']) {
    try {
      parseNewPassword(password, policy, context);
      expect.unreachable();
    } catch (error) {
      expect((error as Error).message).not.toContain(password);
    }
  }
});
