// The page of the security model is complete, and its files exist.
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const page = readFileSync('docs/concepts/security-model.md', 'utf8');
/** A row of the ASVS table: number, subject, status, explanation. */
const rows = page
  .split('\n')
  .filter((line) => /^\| \d+\.\d+\.\d+/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()));
/** The number of requirements of levels 1 and 2 in each chapter of ASVS 5.0.0. */
const REQUIREMENTS = [27, 11, 19, 10, 9, 35, 18, 7, 7, 29, 14, 9, 13, 9, 13, 16, 7];

test('has each requirement of ASVS 5.0, levels 1 and 2, once', () => {
  const numbers = rows.flatMap(([, cell = '']) => cell.split(', '));
  expect(new Set(numbers).size).toBe(numbers.length);
  const perChapter = REQUIREMENTS.map((_, n) => numbers.filter((one) => one.startsWith(`${n + 1}.`)).length);
  expect(perChapter).toEqual(REQUIREMENTS);
});

test('states for each whether it is met, with an explanation', () => {
  for (const [, number, about, status = '', how] of rows) {
    expect(['met', '**not met**', 'n/a'], number).toContain(status);
    expect([about, how], number).not.toContain('');
  }
});

test('names every requirement that is not met at its beginning', () => {
  const [, summary = ''] = /\*\*Not met today:\*\*([\s\S]*?)\n\n/.exec(page) ?? [];
  for (const [, number = '', , status] of rows) {
    if (status === '**not met**') expect(summary, number).toContain(number);
  }
});

test('names files that exist', () => {
  const files = [...page.matchAll(/`((?:src|test|docs|proto|deploy)\/[^`]*)`/g)].map(([, file = '']) => file);
  expect(files.length).toBeGreaterThan(50);
  for (const file of new Set(files)) expect(existsSync(file), file).toBe(true);
});
