import { expect, test } from 'vitest';
import { readingsOf } from '../../src/domain/request-target.ts';

const COMBS = [
  ...[
    'a;/../',
    'a;/./',
    '..;/',
    '/..;',
    '/./',
    '/../',
    '%2e%2e/',
    '%25',
    'a%2f',
    '\\',
    '. /',
    '/ ',
    '//',
    '.',
    'a/../',
  ],
  ...['%u002e', 'a./', ';', '?', '%5c..', '\u0344', '\ufdfa'],
];
const MAX_CHARACTERS = 16 * 1024;

/** Each reading is rewritten once by each rewrite, so their characters are the work. */
const work = (path: string) => readingsOf(path)?.reduce((sum, reading) => sum + reading.length, 0) ?? null;

test('the work for a path grows with its length, and has a bound', () => {
  for (const comb of COMBS) {
    const [half, whole] = [2_000, 4_000].map((length) => work(`/${comb.repeat(length / comb.length)}`));
    if (half !== null && whole !== null) expect([comb, (whole ?? 0) <= 2 * (half ?? 0) + 16]).toEqual([comb, true]);
    for (const length of [8_000, 100_000, 1_000_000]) {
      expect(work(`/${comb.repeat(length / comb.length)}`) ?? 0).toBeLessThanOrEqual(MAX_CHARACTERS);
    }
  }
});
