// The cache of verified tokens, alone and in the engine: bounded, and nobody gets another's answer from it.
import { generateKeyPairSync, sign } from 'node:crypto';
import v8 from 'node:v8';
import vm from 'node:vm';
import { expect, test } from 'vitest';
import { ownVerificationKey } from '../../src/keys/own-verification-key.ts';
import { decisionJson, decisionSize, writeDecision } from '../../src/server/fast-path/encode-decision.ts';
import { accessTokenHeader } from '../../src/verifier/access-token.ts';
import { createRevocationView } from '../../src/verifier/revocation-view.ts';
import { createTokenCache } from '../../src/verifier/token-cache.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { claimsOf } from '../support/claims.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const key = ownVerificationKey('k', 'EdDSA', privateKey, publicKey);
const other = generateKeyPairSync('ed25519');
const otherKey = ownVerificationKey('other', 'EdDSA', other.privateKey, other.publicKey);
const ISSUED_AT = Math.floor(Date.now() / 1000) - 5;

function setUp(cacheBytes: number) {
  const view = createRevocationView();
  view.confirm(performance.now());
  const clock = { now: Date.now() };
  const verifier = createVerifier({
    issuer: 'https://auth.example',
    keys: [key],
    revalidateSeconds: 1,
    view,
    maxViewAgeMs: 600_000,
    ask: () => Promise.reject(new Error('asked')),
    refreshKeys: () => Promise.reject(new Error('asked')),
    cacheBytes,
    now: () => new Date(clock.now),
  });
  return { view, verifier, clock };
}

type Issued = { token: string; userId: string; sessionId: string };

function issue(): Issued {
  const claims = claimsOf(ISSUED_AT);
  const { sub: userId, sid: sessionId } = claims;
  const [header, payload] = [accessTokenHeader(key), claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const signed = `${header}.${payload}`;
  return { token: `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`, userId, sessionId };
}

const whose = (verdict: ReturnType<ReturnType<typeof setUp>['verifier']['judge']>) =>
  verdict && 'decision' in verdict ? verdict.decision.token.userId : (verdict?.reason ?? 'untold');

test('of 100,000 looks at mixed tokens, good, revoked and forged, each is about its own', () => {
  // A cache that holds a fifth of them, so that hits, misses and evictions mix.
  const { verifier, view } = setUp(400 * 3_000);
  const people = Array.from({ length: 2_000 }, issue);
  const revoked = new Set<Issued>();
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const wrong: string[] = [];
  for (let n = 0; n < 100_000; n += 1) {
    // Most looks are at few tokens, as in life.
    const one = people[random(10) < 8 ? random(200) : random(people.length)] as Issued;
    const kind = random(100);
    if (kind === 0) {
      revoked.add(one);
      view.apply([{ kind: 'session_ended', sessionId: one.sessionId }]);
    }
    if (kind === 1) {
      // Somebody else's signature, whose end is the key in the cache, below these claims.
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

test('a token from the cache still expires, and is still revoked', () => {
  const { verifier, view, clock } = setUp(1024 * 1024);
  const [one, other] = [issue(), issue()];
  for (const { token, userId } of [one, other]) expect(whose(verifier.judge(token, ''))).toBe(userId);
  view.apply([{ kind: 'session_ended', sessionId: one.sessionId }]);
  expect(whose(verifier.judge(one.token, ''))).toBe('TOKEN_REVOKED');
  clock.now += 901_000;
  expect(whose(verifier.judge(other.token, ''))).toBe('TOKEN_EXPIRED');
  expect(whose(verifier.judge(other.token, 'elsewhere'))).toBe('TOKEN_EXPIRED');
});

test('a token from the cache dies with the key that signed it', () => {
  const { verifier } = setUp(1024 * 1024);
  const { token, userId } = issue();
  expect(whose(verifier.judge(token, ''))).toBe(userId);
  verifier.useKeys([key, otherKey]);
  expect(whose(verifier.judge(token, ''))).toBe(userId);
  verifier.useKeys([otherKey]);
  expect(whose(verifier.judge(token, ''))).toBe('TOKEN_INVALID');
});

test('nothing that is refused gets in', () => {
  const { verifier } = setUp(1024 * 1024);
  for (let n = 0; n < 100; n += 1) verifier.judge(`${issue().token.slice(0, -5)}AAAA${n % 10}`, '');
  expect(verifier.cachedBytes()).toBe(0);
});

test('what was used lately stays; what was not goes; the bound holds', () => {
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

test('without any room it holds nothing', () => {
  const cache = createTokenCache<{ text: string }>(0);
  cache.add({ text: 'x' });
  expect([cache.get('x'), cache.bytes()]).toEqual([undefined, 0]);
});

test('what it says it holds is what it takes, rendered answers and all', () => {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as () => void;
  const used = () => {
    collect();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    return heapUsed + external + arrayBuffers;
  };
  const { verifier } = setUp(512 * 1024 * 1024);
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
