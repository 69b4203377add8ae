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

test('a name has at most 200 characters', () => {
  expect(parseFullName('x'.repeat(200))).toHaveLength(200);
  expect(parseFullName(`${'x'.repeat(200)}   `)).toHaveLength(200);
  expect(parseFullName(`${'\u{1f1e6}'.repeat(199)}x`)).toHaveLength(399);
});

test('a text has at most 800 UTF-16 units, even when its composed form is shorter', () => {
  const composesToOne = '\u03b1\u0313\u0300\u0345';
  expect(parseFullName(composesToOne.repeat(200))).toHaveLength(200);
  expect(() => parseFullName(`${composesToOne.repeat(200)} `)).toThrow('at most 200');
});
