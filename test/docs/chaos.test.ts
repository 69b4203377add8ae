// docs/guides/chaos.md has a row for every fault of `npm run chaos`, and every option.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FAULTS } from '../chaos/faults/catalogue.ts';

const text = readFileSync('docs/guides/chaos.md', 'utf8');
const chaos = (...args: string[]) =>
  spawnSync(process.execPath, ['test/chaos/chaos.ts', ...args], { encoding: 'utf8' });

test('there are at least forty faults, each with a name of its own and a sentence', () => {
  expect(new Set(FAULTS.map(({ name }) => name)).size).toBe(FAULTS.length);
  expect(FAULTS.length).toBeGreaterThanOrEqual(40);
  for (const { does } of FAULTS) expect(does).toMatch(/^[a-zA-Z0-9][^\n]+[^.]$/);
});

test('the table has a row for every fault', () => {
  const rows = new Set([...text.matchAll(/^\| ([a-z0-9+-]+) +\|/gm)].map((match) => match[1]));
  expect(FAULTS.map(({ name }) => name).filter((name) => !rows.has(name))).toEqual([]);
});

test('the document shows every option', () => {
  const { stdout } = chaos('--help');
  const options = [...stdout.matchAll(/^ {2}(--[a-z-]+)/gm)].map((match) => match[1] as string);
  expect(options.length).toBeGreaterThan(4);
  expect(options.filter((option) => !text.includes(`npm run chaos -- ${option}`))).toEqual([]);
});

test('--list names every fault', () => {
  const { stdout, status } = chaos('--list');
  expect(status).toBe(0);
  expect(stdout.trim().split('\n')).toHaveLength(FAULTS.length);
});

test('a name that no fault has is an error with a remedy', () => {
  const { stderr, status } = chaos('no-such-fault');
  expect([status, stderr.trim()]).toEqual([2, 'there is no fault "no-such-fault": --list shows those that there are']);
});
