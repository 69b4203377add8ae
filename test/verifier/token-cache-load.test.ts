// The cache of verified tokens under load: slower than a unit test can be.
import v8 from 'node:v8';
import vm from 'node:vm';
import { expect, test } from 'vitest';
import { decisionJson, decisionSize, writeDecision } from '../../src/server/fast-path/encode-decision.ts';
import { type Issued, issue, verifierWithCache, whose } from '../support/cached-tokens.ts';

test('100,000 checks of valid, revoked and forged tokens each return the verdict of their own token', () => {
  // A cache that holds a fifth of them, so that hits, misses and evictions mix.
  const { verifier, view } = verifierWithCache(400 * 3_000);
  const people = Array.from({ length: 2_000 }, issue);
  const revoked = new Set<Issued>();
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const wrong: string[] = [];
  for (let n = 0; n < 100_000; n += 1) {
    // Most look-ups are of few tokens, as in production.
    const one = people[random(10) < 8 ? random(200) : random(people.length)] as Issued;
    const kind = random(100);
    if (kind === 0) {
      revoked.add(one);
      view.apply([{ kind: 'session_ended', sessionId: one.sessionId }]);
    }
    if (kind === 1) {
      // The signature of another user's token, whose end is the key in the cache, with these claims.
      const other = people[random(people.length)] as Issued;
      const forged = one.token.slice(0, one.token.lastIndexOf('.')) + other.token.slice(other.token.lastIndexOf('.'));
      if (forged !== one.token && whose(verifier.judge(forged, '')) !== 'TOKEN_INVALID') wrong.push(forged);
      continue;
    }
    const expected = revoked.has(one) ? 'TOKEN_REVOKED' : one.userId;
    if (whose(verifier.judge(one.token, '')) !== expected) wrong.push(one.token);
  }
  expect(wrong).toEqual([]);
  expect(revoked.size).toBeGreaterThan(50);
});

test('its estimate is close to the memory that it uses, with the encoded responses', () => {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as () => void;
  const used = () => {
    collect();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + external + arrayBuffers;
  };
  const { verifier } = verifierWithCache(512 * 1024 * 1024);
  const before = used();
  for (let n = 0; n < 10_000; n += 1) {
    const verdict = verifier.judge(issue().token, '');
    if (!verdict || !('decision' in verdict)) throw new Error('refused');
    writeDecision(Buffer.alloc(decisionSize(verdict.decision)), 0, verdict.decision);
    decisionJson(verdict.decision);
  }
  const taken = used() - before;
  expect(taken).toBeLessThan(verifier.cachedBytes() * 1.1);
  expect(taken).toBeGreaterThan(verifier.cachedBytes() * 0.5);
});
