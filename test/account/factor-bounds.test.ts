// An account has at most 20 passkeys and 5 authenticator apps, and a passkey belongs to one account, once.
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { MAX_FACTORS } from '../../src/domain/factor.ts';
import { testApp } from '../support/app.ts';
import { createAuthenticator } from '../support/authenticator.ts';
import { account, type Outcome, untilAvailable } from '../support/clients.ts';
import { reauthenticated, type SignedIn, signedIn } from '../support/people.ts';
import { addPasskey, codeAt, PAGE, withPasskey, withTotp } from '../support/second-factors.ts';

const HIGH = '100000/60';
const app = await testApp({ LIMIT_ACCOUNT_CHANGE_USER: HIGH });
const { call } = app;

type Started = { person: SignedIn; finish: () => Promise<Outcome> };

async function startPasskey(person: SignedIn, credentialId = randomBytes(32)): Promise<Started> {
  const bearer = person.accessToken;
  const { body, reason } = await call(account.startAddPasskey, {}, { bearer });
  if (reason) throw new Error(`StartAddPasskey: ${reason}`);
  const options = JSON.stringify({ ...JSON.parse(body.creationOptions), excludeCredentials: [] });
  const passkeyRegistration = createAuthenticator().register(options, { origin: PAGE, credentialId });
  const input = { challengeId: body.challengeId, passkeyRegistration };
  return { person, finish: () => call(account.finishAddPasskey, input, { bearer }) };
}

async function startTotp(person: SignedIn): Promise<Started> {
  const bearer = person.accessToken;
  const { challengeId, totp } = (await call(account.startAddTotp, {}, { bearer })).body;
  const finish = () =>
    call(account.finishAddTotp, { challengeId, totpCode: codeAt(totp.secret, app.time()) }, { bearer });
  return { person, finish };
}

const owner = async () => reauthenticated(call, await signedIn(call));

async function countOf({ accessToken: bearer }: SignedIn): Promise<number> {
  return (await call(account.listFactors, {}, { bearer })).body.factors.length;
}

/** The last function makes the owner, who has a factor of the other kind: an addition without one must be the first. */
const KINDS = [
  ['passkey', startPasskey, account.startAddPasskey, () => withTotp(app, call)],
  ['totp', startTotp, account.startAddTotp, () => withPasskey(call)],
] as const;

describe.each(KINDS)('the maximum of the kind %s', (kind, start, method, ownerOfOther) => {
  test('holds for parallel additions, and one more works after a removal', async () => {
    const person: SignedIn = await ownerOfOther();
    const started: Started[] = [];
    for (let n = 0; n < MAX_FACTORS[kind] + 5; n += 1) started.push(await start(person));
    const outcomes = await Promise.all(started.map(({ finish }) => untilAvailable(finish)));
    const added = outcomes.filter(({ code }) => code === 'ok');
    expect(added).toHaveLength(MAX_FACTORS[kind]);
    const reasons = outcomes.flatMap(({ reason }) => reason ?? []);
    expect(new Set(reasons)).toEqual(new Set(['TOO_MANY_FACTORS']));
    const newest = added.map(({ body }) => body.tokens.accessToken as string);
    const bearer = await lastOf(newest);
    expect((await call(method, {}, { bearer })).reason).toBe('TOO_MANY_FACTORS');
    const factorId = added[0]?.body.factor.id;
    expect((await call(account.removeFactor, { factorId }, { bearer })).code).toBe('ok');
    expect((await (await start({ ...person, accessToken: bearer })).finish()).code).toBe('ok');
    expect(await countOf({ ...person, accessToken: bearer })).toBe(MAX_FACTORS[kind] + 1);
  });
});

/** Each addition makes the access tokens before it insufficient for the next change. */
async function lastOf(tokens: string[]): Promise<string> {
  const counterOf = (token: string) =>
    JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()).refresh_counter as number;
  return tokens.toSorted((one, other) => counterOf(one) - counterOf(other)).at(-1) as string;
}

describe('a passkey that is added again', () => {
  test('is taken, for its account and for another, and the challenge still accepts another passkey', async () => {
    const id = randomBytes(32);
    const [person, stranger] = [await owner(), await owner()];
    const first = await (await startPasskey(person, id)).finish();
    expect(first.code).toBe('ok');
    const again = { ...person, accessToken: first.body.tokens.accessToken };
    for (const one of [again, stranger]) {
      expect((await (await startPasskey(one, id)).finish()).reason).toBe('PASSKEY_TAKEN');
    }
    expect((await (await startPasskey(stranger)).finish()).code).toBe('ok');
  });

  test('is added once when ten calls do so in parallel, of one account and of ten', async () => {
    const person: SignedIn = await withTotp(app, call);
    const people = await Promise.all(Array.from({ length: 10 }, owner));
    for (const owners of [Array<SignedIn>(10).fill(person), people]) {
      const id = randomBytes(32);
      const started: Started[] = [];
      for (const one of owners) started.push(await startPasskey(one, id));
      const outcomes = await Promise.all(started.map(({ finish }) => untilAvailable(finish)));
      expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
      const others = outcomes.flatMap(({ reason }) => reason ?? []);
      expect(new Set(others)).toEqual(new Set(['PASSKEY_TAKEN']));
    }
  });
});

test('the options of a new passkey exclude those that the account has', async () => {
  const person = await addPasskey(call, await withTotp(app, call));
  const { body } = await call(account.startAddPasskey, {}, { bearer: person.accessToken });
  const { excludeCredentials } = JSON.parse(body.creationOptions);
  expect(excludeCredentials).toHaveLength(1);
  expect(() => person.authenticator.register(body.creationOptions, { origin: PAGE })).toThrow(/has this passkey/);
});
