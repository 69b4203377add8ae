import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { InvalidValue } from '../../src/domain/parse-fields.ts';
import { parseNewPassword, parsePresentedPassword } from '../../src/domain/password.ts';
import { commonEntries, loadCommonPasswords } from '../../src/passwords/common-passwords.ts';

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
  ['Latchkey2026', /email, the name/],
  ['L4tchk3y!!', /email, the name/],
  ['Acme2024!', /deployment's own words/],
  ['RocketSkates99', /deployment's own words/],
  ['r0cket 5kates', /deployment's own words/],
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

test.each([
  ...['00000000', '123123123', 'aaaaaaaaaaaaaaa', ' '.repeat(15), 'abcabcabcabc', 'hahahahaha', '🦊🦊🦊🦊🦊🦊🦊🦊'],
  ...['bananabanana', 'abcabcab', 'ababababab', '\u00e9'.repeat(20), 'x'.repeat(256)],
])('%j is refused as a repetition', (password) => {
  expect(() => parseNewPassword(password, policy, [])).toThrow(/short text that is repeated/);
});

test.each([
  ...['87654321', 'abcdefgh', 'zyxwvutsr', '11223344', 'aabbccdd', '111222333444555', 'a1b2c3d4e5', 'абвгдежз'],
  ...['qwertyuiop', '1q2w3e4r5t', '1qaz2wsx3edc', 'zaq12wsx', '5tgb6yhn7ujm', 'qazwsxedc', 'qweasdzxc', 'lkjhgfdsa'],
  ...['qwertzuiop', 'yxcvbnm,', 'azertyuiop', 'wxcvbn,;', 'йцукенгш', '!@#$%^&*', '!QAZ2wsx', 'zxcvbnm,./'],
  ...['abcd1234', '1234qwer', 'qwerty12345', 'abcdefgh1!', '00000001', 'Aa123456!', '19901224', '24.12.1990'],
  ...['123456789012345', 'abcdefghijklmnop', 'qwertyuiopasdfg', 'a'.repeat(100) + 'b'.repeat(156)],
])('%j is refused as a run, a walk or a date', (password) => {
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
])('%j is refused as a common word with little around it', (password) => {
  expect(() => parseNewPassword(password, policy, [])).toThrow(/everyone tries first/);
});

test('the list has more than 100,000 entries that the policy would allow, and more than 3,000 of 15 characters and more', () => {
  const entries = new Set(commonEntries());
  const ofLength = (least: number) => [...entries].filter((entry) => [...entry].length >= least);
  expect(ofLength(8).length).toBeGreaterThan(100_000);
  expect(ofLength(15).length).toBeGreaterThan(3_000);
  expect(ofLength(8).filter((entry) => !isCommon(entry))).toEqual([]);
});

test('a good password is not refused: phrases and random texts, by the hundred', () => {
  const require = createRequire(import.meta.url);
  const words = require('@zxcvbn-ts/language-common/src/diceware.json') as string[];
  // A fixed sequence, so that the test never varies.
  let state = 20_261_129;
  const below = (n: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % n;
  };
  const phrase = (count: number, between: string) =>
    Array.from({ length: count }, () => words[below(words.length)]).join(between);
  const random = (length: number, alphabet: string) =>
    Array.from({ length }, () => alphabet[below(alphabet.length)]).join('');
  const LOWER = 'abcdefghijklmnopqrstuvwxyz';
  const refused = new Set<string>();
  for (let n = 0; n < 400; n += 1) {
    const passwords = [
      ...[phrase(3, ' '), phrase(4, '-'), phrase(5, ''), `${phrase(2, ' ')} and ${below(100)}`],
      ...[random(12, LOWER), random(10, `${LOWER}${LOWER.toUpperCase()}0123456789`), random(16, '0123456789abcdef')],
      random(8, `${LOWER}${LOWER.toUpperCase()}0123456789!$%&/()=?*+#-_.:,;`),
    ];
    for (const password of passwords) {
      try {
        parseNewPassword(password, policy, context);
      } catch (error) {
        refused.add(`${password}: ${(error as Error).message}`);
      }
    }
  }
  expect([...refused]).toEqual([]);
});

test('no text costs more than two milliseconds of the main thread', () => {
  const texts = [
    ...[
      'a'.repeat(256),
      'ab'.repeat(128),
      '1qaz'.repeat(64),
      '19901224'.repeat(32),
      '🦊🐝'.repeat(128),
      '!1'.repeat(41),
    ],
    ...[
      `${'1'.repeat(6)}${'a'.repeat(63)}${'1'.repeat(12)}`,
      'e\u0301'.repeat(256),
      '\u0301'.repeat(1024),
      '\ufdfa'.repeat(1024),
    ],
    ...[randomBytes(192).toString('base64'), randomBytes(512).toString('hex'), 'ﬃ'.repeat(256)],
  ];
  for (const text of texts) {
    const costs = Array.from({ length: 30 }, () => {
      const before = process.cpuUsage();
      try {
        parseNewPassword(text, policy, ['x'.repeat(300), 'ada lovelace '.repeat(20)]);
      } catch {}
      const { user, system } = process.cpuUsage(before);
      return user + system;
    });
    expect(Math.min(...costs), text.slice(0, 12)).toBeLessThan(2_000);
  }
});

test('no refusal repeats the password', () => {
  for (const password of ['password123', '87654321', 'Latchkey2026', 'abcabcabc', 'RocketSkates99']) {
    try {
      parseNewPassword(password, policy, context);
      expect.unreachable();
    } catch (error) {
      expect((error as Error).message).not.toContain(password);
    }
  }
});
