// The password rules against the whole list of common passwords: slower than a unit test can be.
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { parseNewPassword } from '../../src/domain/password.ts';
import { loadCommonPasswords, readCommonEntries } from '../../src/passwords/common-passwords.ts';

const isCommon = loadCommonPasswords();
const policy = { minLength: 8, isCommon, contextWords: ['acme', 'rocket skates'] };
const context = ['ada.lovelace@example.com', 'Ada Lovelace'];

test('the list has more than 100,000 entries that the policy would allow, and more than 3,000 of 15 characters and more', () => {
  const entries = new Set<string>();
  readCommonEntries((bytes, start, end) => entries.add(Buffer.from(bytes.subarray(start, end)).toString()));
  const ofLength = (least: number) => [...entries].filter((entry) => [...entry].length >= least);
  expect(ofLength(8).length).toBeGreaterThan(100_000);
  expect(ofLength(15).length).toBeGreaterThan(3_000);
  expect(ofLength(8).filter((entry) => !isCommon(entry))).toEqual([]);
});

test('hundreds of phrases and random texts are accepted', () => {
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
  const rejected = new Set<string>();
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
        rejected.add(`${password}: ${(error as Error).message}`);
      }
    }
  }
  expect([...rejected]).toEqual([]);
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
