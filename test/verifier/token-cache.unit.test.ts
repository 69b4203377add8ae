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
