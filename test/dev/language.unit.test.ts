// The language check finds banned openings and words where a person reads them, and passes plain English.
import { expect, test } from 'vitest';
import { languageProblems } from '../../src/dev/language.ts';
import samples from './language-samples.json' with { type: 'json' };

const cases = (pairs: string[][]) => pairs.map(([path = '', text = '']) => [path, text] as const);

test.each(cases(samples.found))('%s: finds %j', (path, text) => {
  expect(languageProblems(path, text)).toHaveLength(1);
});

test.each(cases(samples.passed))('%s: passes %j', (path, text) => {
  expect(languageProblems(path, text)).toEqual([]);
});

test('a finding names the file, the line, the word and a remedy', () => {
  const word = ['any', 'more'].join(' ');
  expect(languageProblems('a.ts', `const x = 1;\n// The key is not valid ${word}.\n`)).toEqual([
    `a.ts:2: "${word}": state it positively: revoked, expired, no longer`,
  ]);
});
