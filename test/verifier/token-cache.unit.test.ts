// The cache of verified tokens, alone and in the engine: bounded, and each token gets its own verdict.
import { expect, test } from 'vitest';
import { createTokenCache } from '../../src/verifier/token-cache.ts';
import { issue, key, otherKey, verifierWithCache, whose } from '../support/cached-tokens.ts';

test('a token from the cache still expires, and is still revoked', () => {
  const { verifier, view, clock } = verifierWithCache(1024 * 1024);
  const [one, other] = [issue(), issue()];
  for (const { token, userId } of [one, other]) expect(whose(verifier.judge(token, ''))).toBe(userId);
  view.apply([{ kind: 'session_ended', sessionId: one.sessionId }]);
  expect(whose(verifier.judge(one.token, ''))).toBe('TOKEN_REVOKED');
  clock.now += 901_000;
  expect(whose(verifier.judge(other.token, ''))).toBe('TOKEN_EXPIRED');
  expect(whose(verifier.judge(other.token, 'elsewhere'))).toBe('TOKEN_EXPIRED');
});

test('a token from the cache becomes invalid with the key that signed it', () => {
  const { verifier } = verifierWithCache(1024 * 1024);
  const { token, userId } = issue();
  expect(whose(verifier.judge(token, ''))).toBe(userId);
  verifier.useKeys([key, otherKey]);
  expect(whose(verifier.judge(token, ''))).toBe(userId);
  verifier.useKeys([otherKey]);
  expect(whose(verifier.judge(token, ''))).toBe('TOKEN_INVALID');
});

test('a rejected token is not cached', () => {
  const { verifier } = verifierWithCache(1024 * 1024);
  for (let n = 0; n < 100; n += 1) verifier.judge(`${issue().token.slice(0, -5)}AAAA${n % 10}`, '');
  expect(verifier.cachedBytes()).toBe(0);
});

test('keeps recently used tokens, drops the others, and stays within its bound', () => {
  const cache = createTokenCache<{ text: string }>(100 * 3_000);
  const hot = { text: 'hot'.padEnd(500, 'x') };
  cache.add(hot);
  for (let n = 0; n < 5_000; n += 1) {
    cache.add({ text: `${n}`.padStart(500, 'x') });
    if (n % 10 === 0) expect(cache.get(hot.text)).toBe(hot);
    expect(cache.bytes()).toBeLessThanOrEqual(300_000);
  }
  expect(cache.get('0'.padStart(500, 'x'))).toBeUndefined();
  expect(cache.get('4999'.padStart(500, 'x'))).toBeDefined();
});

test('stores nothing when its bound is zero', () => {
  const cache = createTokenCache<{ text: string }>(0);
  cache.add({ text: 'x' });
  expect([cache.get('x'), cache.bytes()]).toEqual([undefined, 0]);
});

type Text = { text: string };

test('half of the bound is full when no further token fits into it', () => {
  const cache = createTokenCache<Text>(4 * 2_500);
  // Each takes 2,500 bytes: 50 characters and the memory of an entry.
  const [a, b, c] = ['a', 'b', 'c'].map((text) => ({ text: text.padEnd(50, text) })) as [Text, Text, Text];
  for (const token of [a, b, c]) cache.add(token);
  expect(cache.bytes()).toBe(7_500);
  // A used token is kept twice until its generation is dropped.
  expect(cache.get(a.text)).toBe(a);
  expect(cache.bytes()).toBe(10_000);
  cache.add({ text: 'd'.repeat(50) });
  expect(cache.bytes()).toBe(7_500);
  expect([a, b, c].map(({ text }) => cache.get(text))).toEqual([a, undefined, c]);
});

test('one token takes at most half of the bound', () => {
  const token = { text: 'x'.repeat(50) };
  for (const [maxBytes, found] of [
    [5_000, token],
    [4_999, undefined],
  ] as const) {
    const cache = createTokenCache<{ text: string }>(maxBytes);
    cache.add(token);
    expect(cache.get(token.text)).toBe(found);
    expect(cache.bytes()).toBe(found ? 2_500 : 0);
  }
});

test('a token that is added again, or with the same end, replaces the earlier one', () => {
  const cache = createTokenCache<{ text: string }>(100_000);
  const end = 'e'.repeat(24);
  for (const text of [`aa${end}`, `aa${end}`, `bbbb${end}`]) cache.add({ text });
  expect(cache.bytes()).toBe(28 + 2_450);
  expect(cache.get(`aa${end}`)).toBeUndefined();
  expect(cache.get(`bbbb${end}`)).toEqual({ text: `bbbb${end}` });
});

test('nothing is found in an emptied cache', () => {
  const cache = createTokenCache<{ text: string }>(4 * 2_500);
  const texts = ['a', 'b', 'c'].map((text) => text.padEnd(50, text));
  for (const text of texts) cache.add({ text });
  cache.clear();
  expect([cache.bytes(), ...texts.map((text) => cache.get(text))]).toEqual([0, undefined, undefined, undefined]);
});
