import { expect, test } from 'vitest';
import { createExpiringMap } from '../../src/domain/expiring-map.ts';

test('an entry is found until it expires, and exists after it', () => {
  let now = 0;
  const map = createExpiringMap<string>(10, () => now);
  map.set('a', 'one', 100);
  expect([map.get('a'), map.get('b'), map.has('a'), map.has('b')]).toEqual(['one', null, true, false]);
  now = 99;
  expect(map.get('a')).toBe('one');
  now = 100;
  expect([map.get('a'), map.has('a')]).toEqual([null, true]);
});

test('the entries that were set first are removed first', () => {
  const map = createExpiringMap<number>(3, () => 0);
  for (const [n, key] of ['a', 'b', 'c', 'a', 'd'].entries()) map.set(key, n, 1);
  expect(['a', 'b', 'c', 'd'].map(map.get)).toEqual([3, null, 2, 4]);
});

test('a deleted entry does not exist', () => {
  const map = createExpiringMap<number>(3, () => 0);
  map.set('a', 1, 1);
  expect(map.delete('a')).toBeUndefined();
  expect([map.get('a'), map.has('a')]).toEqual([null, false]);
});
