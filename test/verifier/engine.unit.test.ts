// Each check of the engine, at its boundary, with real tokens and a revocation view of any age.
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { RevocableToken, RevocationStatus } from '../../src/domain/revocation-status.ts';
import { ownVerificationKey } from '../../src/keys/own-verification-key.ts';
import { type AccessClaims, accessTokenHeader, LAST_TOKEN_MS } from '../../src/verifier/access-token.ts';
import { createEngine } from '../../src/verifier/engine.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { claimsOf } from '../support/claims.ts';

const SECONDS = 1_800_000_000;
const MAX_AGE_MS = 5_000;
const encode = (value: object | string) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

function createSigner() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = ownVerificationKey(randomUUID().padEnd(43, '0'), 'EdDSA', privateKey, publicKey);
  const signText = (claims: object, header: object | string = accessTokenHeader(key)) => {
    const signed = `${encode(header)}.${encode(claims)}`;
    return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`;
  };
  return { key, signText };
}

const [ours, theirs] = [createSigner(), createSigner()];
const claims: AccessClaims = {
  ...claimsOf(SECONDS),
  aud: ['latchkey', 'shop'],
  roles: ['user', 'editor'],
  refresh_counter: 7,
  epoch: 3,
  roles_epoch: 4,
};
const token = ours.signText(claims);

function setUp({ ageMs = 0, status = 'active' as RevocationStatus } = {}) {
  const state = { ageMs, status, nowMs: SECONDS * 1000 };
  const checked: RevocableToken[] = [];
  const options = {
    issuer: claims.iss,
    keys: [ours.key],
    revalidateSeconds: 2,
    view: {
      ageMs: () => state.ageMs,
      statusOf(of: RevocableToken) {
        checked.push(of);
        return state.status;
      },
    },
    maxViewAgeMs: MAX_AGE_MS,
    cacheBytes: 1024 * 1024,
    now: () => new Date(state.nowMs),
  };
  return { engine: createEngine(options), options, state, checked };
}

function withoutUser(
  { email, email_verified, refresh_counter, acr, amr, auth_time, ...rest }: AccessClaims,
  changes: Partial<AccessClaims>,
): object {
  return { ...rest, ...changes };
}

describe('a valid token', () => {
  test('has the principal of its user, with all claims', () => {
    const { engine, checked } = setUp();
    expect(engine.judge(token, '')).toEqual({
      decision: {
        token: {
          text: token,
          principal: {
            kind: 'user',
            userId: claims.sub,
            sessionId: claims.sid,
            email: 'ada@example.com',
            emailVerified: true,
            acr: 'mfa',
            amr: ['mfa', 'otp', 'pwd'],
            authTime: new Date(SECONDS * 1000),
            roles: ['user', 'editor'],
            issuedAt: new Date(SECONDS * 1000),
            expiresAt: new Date((SECONDS + 900) * 1000),
          },
          userId: claims.sub,
          sessionId: claims.sid,
          audiences: ['latchkey', 'shop'],
          epoch: 3,
          rolesEpoch: 4,
          refreshCounter: 7,
          expiresAtMs: (SECONDS + 900) * 1000,
          rendered: { binary: null, json: null },
        },
        principal: expect.objectContaining({ userId: claims.sub }),
        revalidateAt: new Date((SECONDS + 2) * 1000),
      },
    });
    const [sessionId, userId] = [claims.sid, claims.sub];
    expect(checked).toEqual([{ sessionId, userId, epoch: 3, roles: ['user', 'editor'], rolesEpoch: 4 }]);
  });

  test('from a service has the service as its principal, and no refresh counter', () => {
    const verdict = setUp().engine.judge(ours.signText(withoutUser(claims, { client_id: 'billing' })), '');
    expect(verdict).toMatchObject({ decision: { token: { refreshCounter: 0, userId: claims.sub } } });
    expect('decision' in verdict && verdict.decision.principal).toEqual({
      kind: 'service',
      serviceAccountId: claims.sub,
      name: 'billing',
      roles: ['user', 'editor'],
      issuedAt: new Date(SECONDS * 1000),
      expiresAt: new Date((SECONDS + 900) * 1000),
    });
  });

  test('has the weakest strength, and no time of authentication, when it is of the release before', () => {
    const { acr, amr, auth_time, ...before } = claims;
    const verdict = setUp().engine.judge(ours.signText(before), '');
    expect(verdict).toMatchObject({ decision: { principal: { kind: 'user', acr: 'pwd', amr: [], authTime: null } } });
  });

  test('is the same object for each call, as long as it is cached', () => {
    const { engine } = setUp();
    const decided = () => {
      const verdict = engine.judge(token, '');
      return 'decision' in verdict ? verdict.decision.token : null;
    };
    expect(engine.cachedBytes()).toBe(0);
    const first = decided();
    expect(first).not.toBeNull();
    expect(decided()).toBe(first);
    expect(engine.cachedBytes()).toBeGreaterThan(token.length);
  });
});

test('the audience must be one of the token, when the caller names one', () => {
  const { engine } = setUp();
  for (const audience of ['', 'latchkey', 'shop']) expect(engine.judge(token, audience)).toHaveProperty('decision');
  for (const audience of ['warehouse', 'sho', 'SHOP']) {
    expect(engine.judge(token, audience)).toEqual({ reason: 'AUDIENCE_MISMATCH' });
  }
});

test('a token expires at its exp, and this rejection comes before that of the audience', () => {
  const { engine, state } = setUp();
  state.nowMs = (SECONDS + 900) * 1000 - 1;
  expect(engine.judge(token, '')).toMatchObject({ decision: { revalidateAt: new Date((SECONDS + 900) * 1000) } });
  state.nowMs += 1;
  for (const audience of ['', 'warehouse']) expect(engine.judge(token, audience)).toEqual({ reason: 'TOKEN_EXPIRED' });
});

test.each([
  ['revoked', 'TOKEN_REVOKED'],
  ['stale', 'TOKEN_STALE'],
] as const)('a token whose status is %s is rejected as %s', (status, reason) => {
  expect(setUp({ status }).engine.judge(token, '')).toEqual({ reason });
});

describe('a revocation view', () => {
  test('decides at its maximum age', () => {
    expect(setUp({ ageMs: MAX_AGE_MS }).engine.judge(token, '')).toHaveProperty('decision');
    expect(setUp({ ageMs: MAX_AGE_MS }).engine.judge(theirs.signText(claims), '')).toEqual({ reason: 'TOKEN_INVALID' });
  });

  test('leaves tokens undecided when it is older, also those of unknown keys', () => {
    const { engine } = setUp({ ageMs: MAX_AGE_MS + 1 });
    expect(engine.judge(token, 'shop')).toMatchObject({ undecided: { text: token, sessionId: claims.sid } });
    expect(engine.judge(theirs.signText(claims), '')).toEqual({ undecided: null });
  });

  test('lets every other check reject even when it is older', () => {
    const { engine, state } = setUp({ ageMs: MAX_AGE_MS + 1 });
    expect(engine.judge(token, 'warehouse')).toEqual({ reason: 'AUDIENCE_MISMATCH' });
    expect(engine.judge(ours.signText({ ...claims, iss: 'https://other.example' }), '')).toEqual({
      reason: 'TOKEN_INVALID',
    });
    expect(engine.judge(`${token.slice(0, -4)}AAAA`, '')).toEqual({ reason: 'TOKEN_INVALID' });
    state.nowMs = (SECONDS + 900) * 1000;
    expect(engine.judge(token, '')).toEqual({ reason: 'TOKEN_EXPIRED' });
  });
});

test('a token has at most 4,608 characters', () => {
  const { engine } = setUp();
  const padded = (length: number) => ours.signText({ ...claims, email: 'x'.repeat(length) });
  let length = 2_500;
  while (padded(length).length < 4_608) length += 1;
  expect(padded(length)).toHaveLength(4_608);
  expect(engine.judge(padded(length), '')).toHaveProperty('decision');
  expect(engine.judge(padded(length + 1), '')).toEqual({ reason: 'TOKEN_INVALID' });
});

describe('an unknown key', () => {
  const kid = 'k'.repeat(43);
  const headerOf = (change: object) => ({ alg: 'EdDSA', kid, typ: 'at+jwt', ...change });
  const judgeWith = (header: object | string, suffix = '') =>
    setUp({ ageMs: MAX_AGE_MS + 1 }).engine.judge(theirs.signText(claims, header) + suffix, '');

  test.each([
    ['another algorithm', headerOf({ alg: 'ES512' })],
    ['an algorithm of two letters', headerOf({ alg: 'AB' })],
    ['an algorithm with hyphens', headerOf({ alg: 'ML-DSA-65' })],
    ['a key id with every kind of character', headerOf({ kid: `${'aZ09-_'.repeat(7)}x` })],
  ])('can be newer than the view: %s', (_, header) => {
    expect(judgeWith(header)).toEqual({ undecided: null });
  });

  test.each([
    ['a key id that is too short', headerOf({ kid: 'k'.repeat(42) })],
    ['a key id that is too long', headerOf({ kid: 'k'.repeat(44) })],
    ['a key id of other characters', headerOf({ kid: '+'.repeat(43) })],
    ['an algorithm in small letters', headerOf({ alg: 'none' })],
    ['an algorithm of one letter', headerOf({ alg: 'A' })],
    ['an algorithm of other characters', headerOf({ alg: 'Ed+DSA' })],
    ['another type', headerOf({ typ: 'JWT' })],
    ['another order', { kid, alg: 'EdDSA', typ: 'at+jwt' }],
    ['a further member', headerOf({ jku: 'https://evil.example' })],
    ['a character before the JSON', ` ${JSON.stringify(headerOf({}))}`],
    ['a character after the JSON', `${JSON.stringify(headerOf({}))} `],
    ['an earlier member', { b64: false, ...headerOf({}) }],
  ])('is invalid: %s', (_, header) => {
    expect(judgeWith(header)).toEqual({ reason: 'TOKEN_INVALID' });
  });

  test.each([['.'], ['.x'], ['.x.y']])('is invalid with more than three parts: %s', (suffix) => {
    expect(judgeWith(headerOf({}), suffix)).toEqual({ reason: 'TOKEN_INVALID' });
  });

  test('is invalid in a token of more than 4,608 characters', () => {
    const header = headerOf({});
    const short = theirs.signText(claims, header);
    const [start = '', , signature = ''] = short.split('.');
    const padded = (length: number) =>
      `${start}.${'A'.repeat(length - start.length - signature.length - 2)}.${signature}`;
    const { engine } = setUp({ ageMs: MAX_AGE_MS + 1 });
    expect(padded(4_608)).toHaveLength(4_608);
    expect(engine.judge(padded(4_608), '')).toEqual({ undecided: null });
    expect(engine.judge(padded(4_609), '')).toEqual({ reason: 'TOKEN_INVALID' });
  });
});

describe('a valid key that this process cannot use', () => {
  const kid = 'k'.repeat(43);
  const headerOf = (change: object) => ({ alg: 'ML-DSA-65', kid, typ: 'at+jwt', ...change });
  const tokenOf = (change: object = {}) => theirs.signText(claims, headerOf(change));

  test('its tokens are undecided, with a fresh view too', () => {
    const { engine } = setUp();
    expect(engine.judge(tokenOf(), '')).toEqual({ reason: 'TOKEN_INVALID' });
    engine.useKeys([ours.key], [kid]);
    expect(engine.judge(tokenOf(), '')).toEqual({ undecided: null });
    expect(engine.judge(tokenOf({ kid: 'x'.repeat(43) }), '')).toEqual({ reason: 'TOKEN_INVALID' });
    expect(engine.judge(tokenOf({ typ: 'JWT' }), '')).toEqual({ reason: 'TOKEN_INVALID' });
    expect(engine.judge(token, '')).toMatchObject({ decision: {} });
  });

  test('its tokens are invalid once it is retired', () => {
    const { engine } = setUp();
    engine.useKeys([ours.key], [kid]);
    engine.useKeys([ours.key]);
    expect(engine.judge(tokenOf(), '')).toEqual({ reason: 'TOKEN_INVALID' });
  });
});

describe('a token that this process has signed', () => {
  test('is cached before its first check', () => {
    const { engine } = setUp();
    engine.remember(token, claims);
    const bytes = engine.cachedBytes();
    expect(bytes).toBeGreaterThan(token.length);
    expect(engine.judge(token, '')).toMatchObject({ decision: { token: { sessionId: claims.sid } } });
    expect(engine.cachedBytes()).toBe(bytes);
  });

  test('is not cached once its key is retired', () => {
    const { engine } = setUp();
    engine.useKeys([theirs.key]);
    engine.remember(token, claims);
    expect(engine.cachedBytes()).toBe(0);
    expect(engine.judge(token, '')).toEqual({ reason: 'TOKEN_INVALID' });
  });
});

test('the cache survives a new key, and is emptied when a key is removed', () => {
  const { engine } = setUp();
  engine.judge(token, '');
  const bytes = engine.cachedBytes();
  engine.useKeys([ours.key, theirs.key]);
  expect(engine.cachedBytes()).toBe(bytes);
  engine.judge(theirs.signText(claims), '');
  engine.useKeys([theirs.key]);
  expect(engine.cachedBytes()).toBe(0);
});

test('the last token of a revocation has expired after an hour and three minutes of clock skew', () => {
  expect(LAST_TOKEN_MS).toBe(3_780_000);
});

describe('the state of record', () => {
  function verifierOf(statuses: RevocationStatus[], ageMs = MAX_AGE_MS + 1) {
    const read: { tokens: RevocableToken[]; signal: AbortSignal | undefined }[] = [];
    const { options, state } = setUp({ ageMs });
    const verifier = createVerifier({
      ...options,
      async readStatuses(tokens, signal) {
        read.push({ tokens, signal });
        return statuses;
      },
      refreshKeys: async () => {},
    });
    return { verifier, read, state };
  }

  test('decides each undecided token in its order, and no other', async () => {
    const other = ours.signText({ ...claims, sid: randomUUID(), jti: randomUUID() });
    const { verifier, read } = verifierOf(['revoked', 'active']);
    const { signal } = new AbortController();
    const verdicts = await verifier.judgeAll([token, 'x', other], 'shop', signal);
    expect(verdicts).toMatchObject([
      { reason: 'TOKEN_REVOKED' },
      { reason: 'TOKEN_INVALID' },
      { decision: { token: { text: other } } },
    ]);
    expect(read).toMatchObject([{ tokens: [{ sessionId: claims.sid, epoch: 3 }, {}], signal }]);
    expect(read[0]?.tokens).toHaveLength(2);
  });

  test('is not read when memory decides, or for unknown keys alone', async () => {
    const fresh = verifierOf([], 0);
    expect(await fresh.verifier.judgeAll([token], '')).toHaveLength(1);
    const old = verifierOf([]);
    expect(await old.verifier.judgeAll([theirs.signText(claims)], '')).toEqual([{ reason: 'TOKEN_INVALID' }]);
    expect([fresh.read, old.read]).toEqual([[], []]);
  });

  test('that returns too few statuses decides nothing', async () => {
    await expect(verifierOf([]).verifier.verify(token, '')).rejects.toThrow('too few statuses');
  });

  test('is not read after the deadline of the call', async () => {
    const { verifier, read } = verifierOf(['active']);
    await expect(verifier.verify(token, '', AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError' });
    expect(read).toEqual([]);
  });

  test('returns the decision of one token, or throws an error with the reason', async () => {
    const { verifier, state } = verifierOf(['active']);
    expect(verifier.judge(token, '')).toBeNull();
    expect(await verifier.verify(token, '')).toMatchObject({ token: { text: token } });
    await expect(verifier.verify(token, 'warehouse')).rejects.toMatchObject({ reason: 'AUDIENCE_MISMATCH' });
    state.ageMs = 0;
    expect(verifier.judge(token, '')).toHaveProperty('decision');
  });
});
