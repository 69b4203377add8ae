// A process with a stale view may have old keys too: it reads them before it accepts or rejects a token.
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { ownVerificationKey } from '../../src/keys/own-verification-key.ts';
import { accessTokenHeader, type VerificationKey } from '../../src/verifier/access-token.ts';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { claimsOf } from '../support/claims.ts';

const SECONDS = Math.floor(Date.now() / 1000);
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A key, and a token that it has signed. */
function signer() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const kid = randomUUID().padEnd(43, '0');
  const key = ownVerificationKey(kid, 'EdDSA', privateKey, publicKey);
  const claims = claimsOf(SECONDS - 10);
  const signed = `${encode(accessTokenHeader(key))}.${encode(claims)}`;
  return { key, token: `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}` };
}

/** @param known keys of this process @param now keys in Postgres; null while it is unavailable */
function setUp(ageMs: number, known: VerificationKey[], now: VerificationKey[] | null) {
  const asked = { keys: 0, statuses: 0 };
  const verifier = createVerifier({
    issuer: 'https://auth.example',
    keys: known,
    revalidateSeconds: 1,
    view: { ageMs: () => ageMs, statusOf: () => 'active' },
    maxViewAgeMs: 5_000,
    async readStatuses(of) {
      asked.statuses += 1;
      return of.map(() => 'active');
    },
    async refreshKeys() {
      asked.keys += 1;
      if (!now) throw new Error('Postgres is away');
      verifier.useKeys(now);
    },
    cacheBytes: 1024 * 1024,
    now: () => new Date(SECONDS * 1000),
  });
  return { verifier, asked };
}

const [one, two] = [signer(), signer()];

test('finds a key that was added since', async () => {
  const { verifier, asked } = setUp(6_000, [one.key], [one.key, two.key]);
  expect(verifier.judge(two.token, '')).toBeNull();
  await expect(verifier.verify(two.token, '')).resolves.toMatchObject({ principal: { kind: 'user' } });
  expect(asked).toEqual({ keys: 1, statuses: 1 });
});

test('rejects a cached token of a retired key, although its session is active', async () => {
  const { verifier, asked } = setUp(6_000, [one.key], [two.key]);
  await expect(verifier.verify(one.token, '')).rejects.toMatchObject({ reason: 'TOKEN_INVALID' });
  expect(asked.statuses).toBe(0);
});

test('neither accepts nor rejects while the current keys are unavailable', async () => {
  const { verifier } = setUp(6_000, [one.key], null);
  for (const { token } of [one, two]) await expect(verifier.verify(token, '')).rejects.toThrow('Postgres is away');
});

test('reads once for many concurrent tokens, and each gets its own verdict', async () => {
  const { verifier, asked } = setUp(6_000, [one.key], [two.key]);
  const verdicts = await verifier.judgeAll([one.token, two.token, 'junk'], '');
  expect(verdicts.map((verdict) => ('reason' in verdict ? verdict.reason : 'ok'))).toEqual([
    'TOKEN_INVALID',
    'ok',
    'TOKEN_INVALID',
  ]);
  expect(asked).toEqual({ keys: 1, statuses: 1 });
});

test('an up-to-date process reads nothing for an unknown key or an invalid token', async () => {
  const fresh = setUp(100, [one.key], null);
  await expect(fresh.verifier.verify(two.token, '')).rejects.toMatchObject({ reason: 'TOKEN_INVALID' });
  const stale = setUp(6_000, [one.key], null);
  const [header = ''] = two.token.split('.');
  const none = encode({ alg: 'none', kid: 'k'.repeat(43), typ: 'at+jwt' });
  for (const junk of ['x', '..', `${none}.e30.`, two.token.replace(header, `${header}=`), `${two.token}.x`]) {
    await expect(stale.verifier.verify(junk, ''), junk).rejects.toMatchObject({ reason: 'TOKEN_INVALID' });
  }
  expect([fresh.asked, stale.asked]).toEqual([
    { keys: 0, statuses: 0 },
    { keys: 0, statuses: 0 },
  ]);
});
