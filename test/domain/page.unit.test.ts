import { expect, test } from 'vitest';
import { cutPage, parsePageSize } from '../../src/domain/page.ts';

test('a page has 1 to 100 items, and 50 by default', () => {
  expect([0, 1, 50, 100].map(parsePageSize)).toEqual([50, 1, 50, 100]);
  for (const size of [-1, 101]) expect(() => parsePageSize(size)).toThrow('must be 1 to 100, or 0 for 50');
});

test('a page that another one follows names its last item', () => {
  expect(cutPage([1, 2, 3], 2)).toEqual({ page: [1, 2], nextAfter: 2 });
  expect(cutPage([1, 2, 3, 4], 3)).toEqual({ page: [1, 2, 3], nextAfter: 3 });
  expect(cutPage([1, 2], 2)).toEqual({ page: [1, 2], nextAfter: undefined });
  expect(cutPage([], 2)).toEqual({ page: [], nextAfter: undefined });
});
