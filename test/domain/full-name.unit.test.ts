import { expect, test } from 'vitest';
import { parseFullName } from '../../src/domain/full-name.ts';

test.each([
  ['Ada Lovelace', 'Ada Lovelace'],
  ['  Grace Hopper ', 'Grace Hopper'],
  ["Seán O'Neil-Smith", "Seán O'Neil-Smith"],
  ['山田 太郎', '山田 太郎'],
  ['می\u200cخواهم', 'می\u200cخواهم'],
])('%j is parsed as %j', (text, name) => {
  expect(parseFullName(text)).toBe(name);
});

test.each([
  ['', /required/],
  ['   ', /required/],
  ['a\nb', /control or invisible/],
  ['a\u0000b', /control or invisible/],
  ['evil\u202ename', /control or invisible/],
  ['a\u200bb', /control or invisible/],
  ['\ud800x', /control or invisible/],
  ['...', /letter or a digit/],
  ['\u200d', /letter or a digit/],
  ['x'.repeat(201), /at most 200/],
])('%j is rejected', (text, why) => {
  expect(() => parseFullName(text)).toThrow(why);
});
