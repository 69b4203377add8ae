// The table of limits is complete enough to print: each part of a key is explained, and each limit has one plain sentence or more.
import { expect, test } from 'vitest';
import { KEY_PARTS } from '../../src/limits/key-parts.ts';
import { LIMITS, pointsWithoutRedis } from '../../src/limits/limits.ts';

const limits = Object.entries(LIMITS);

test('each part of a key is explained, and each explanation is used', () => {
  const used = limits.flatMap(([, { key }]) => [...key.matchAll(/<([^>]+)>/g)].map(([, part]) => part));
  expect(Object.keys(KEY_PARTS).toSorted()).toEqual([...new Set(used)].toSorted());
});

test.each(limits)('%s states what it counts in full sentences', (_, { counts }) => {
  expect(counts).toMatch(/^[A-Z].*\.$/);
});

test.each(limits)('the key of %s belongs to its name', (name, { key }) => {
  if (name.endsWith('_NETWORK')) expect(key).toBe('<network>');
  if (name.startsWith('GLOBAL_')) expect(['all', '<domain>']).toContain(key);
});

test('a process allows half of the points without Redis, and at least one attempt', () => {
  expect([1, 2, 3, 5, 100].map(pointsWithoutRedis)).toEqual([1, 1, 1, 2, 50]);
});
