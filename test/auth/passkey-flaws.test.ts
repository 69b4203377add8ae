// A flawed response of a passkey proves nothing to the service in any ceremony, and the next correct one is accepted.
import type { DescMethodUnary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import type { AssertOptions, Authenticator } from '../support/authenticator.ts';
import { createAuthenticator } from '../support/authenticator.ts';
import { account, auth, type Outcome } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { assertionFlaws, registrationFlaws, TEXT_FLAWS } from '../support/passkey-flaws.ts';
import { reauthenticated, signedIn } from '../support/people.ts';
import { challenged, PAGE, type WithPasskey, withPasskey } from '../support/second-factors.ts';

const HIGH = '100000/60';
const app = await testApp({
  LIMIT_FACTOR_CODE_NETWORK: HIGH,
  LIMIT_PASSKEY_NETWORK: HIGH,
  LIMIT_STEP_UP_SESSION: HIGH,
  LIMIT_ACCOUNT_CHANGE_USER: HIGH,
});
const { call } = app;

const RELYING_PARTY = { id: new URL(PAGE).hostname, origin: PAGE };

type Ceremony = {
  method: DescMethodUnary;
  field: 'passkeyAssertion' | 'passkeyRegistration';
  bearer?: string;
  challengeId: string;
  respond: (flaw?: object) => string;
};

function finish({ method, field, bearer, challengeId }: Ceremony, text: string): Promise<Outcome> {
  return call(method, { challengeId, [field]: text }, bearer === undefined ? {} : { bearer });
}

function assertsBy(authenticator: Authenticator, options: string) {
  return (flaw: Partial<AssertOptions> = {}) => authenticator.assert(options, { origin: PAGE, ...flaw });
}

async function secondStep(person: WithPasskey): Promise<Ceremony> {
  const { id: challengeId, passkeyRequestOptions } = await challenged(call, person);
  const respond = assertsBy(person.authenticator, passkeyRequestOptions);
  return { method: auth.finishSignIn, field: 'passkeyAssertion', challengeId, respond };
}

async function alone({ authenticator }: WithPasskey): Promise<Ceremony> {
  const { id: challengeId, passkeyRequestOptions } = (await call(auth.startPasskeySignIn, {})).body.challenge;
  const respond = assertsBy(authenticator, passkeyRequestOptions);
  return { method: auth.finishSignIn, field: 'passkeyAssertion', challengeId, respond };
}

async function stepUp({ authenticator, accessToken: bearer }: WithPasskey): Promise<Ceremony> {
  const { body } = await call(account.startStepUp, {}, { bearer });
  const { id: challengeId, passkeyRequestOptions } = body.challenge;
  const respond = assertsBy(authenticator, passkeyRequestOptions);
  return { method: account.finishStepUp, field: 'passkeyAssertion', bearer, challengeId, respond };
}

/** Only a passkey that stands alone must have verified the user. */
const OPTIONAL = ['no user verification'];
const flaws = assertionFlaws(RELYING_PARTY);

describe.each<[string, typeof flaws, (person: WithPasskey) => Promise<Ceremony>]>([
  ['as the second step', flaws.filter(([name]) => !OPTIONAL.includes(name)), secondStep],
  ['alone', [...flaws, ['no user', 'user handle', { userHandle: null }]], alone],
  ['for a step-up', flaws.filter(([name]) => !OPTIONAL.includes(name)), stepUp],
])('an assertion %s', (_, rejected, start) => {
  test('with a flaw proves nothing, is audited, and loses nothing', async () => {
    const person = await withPasskey(call);
    const ceremony = await start(person);
    for (const [name, cause, flaw] of rejected) await expectRejected(ceremony, name, cause, ceremony.respond(flaw));
    await expectTextsRejected(ceremony);
    await expectAudited(
      person.userId,
      rejected.map(([, cause]) => cause),
    );
    expect((await finish(ceremony, ceremony.respond())).code).toBe('ok');
  });

  test('by a passkey of another account is rejected', async () => {
    const [person, stranger] = [await withPasskey(call), await withPasskey(call)];
    const ceremony = await start(person);
    const { challenge, rpId } = JSON.parse(optionsOf(ceremony));
    const foreign = stranger.authenticator.assert(JSON.stringify({ challenge, rpId }), { origin: PAGE });
    const outcome = await finish(ceremony, foreign);
    if (start === alone) expect(outcome.body.user.id).toBe(stranger.userId);
    else expect(outcome.reason).toBe('FACTOR_INVALID');
  });

  test('with a counter that falls back is rejected and audited, and the passkey still works', async () => {
    const person = await withPasskey(call);
    const first = await secondStep(person);
    expect((await finish(first, first.respond({ counter: 9 }))).code).toBe('ok');
    const ceremony = await start(person);
    for (const counter of [9, 8, 0])
      await expectRejected(ceremony, `${counter}`, 'counter', ceremony.respond({ counter }));
    const { rows } = await eventually(async () => {
      const found = await app.owner.query(
        "SELECT target FROM audit_events WHERE user_id = $1 AND type = 'passkey_counter_fell'",
        [person.userId],
      );
      return found.rowCount === 3 && found;
    });
    expect(new Set(rows.map(({ target }) => target))).toEqual(new Set([`factor:${person.factorId}`]));
    expect((await finish(ceremony, ceremony.respond({ counter: 10 }))).code).toBe('ok');
  });

  test('that is presented 20 times at once is accepted once', async () => {
    const ceremony = await start(await withPasskey(call));
    const response = ceremony.respond();
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => finish(ceremony, response)));
    const reasons = outcomes.map(({ reason = 'ok' }) => reason);
    expect(reasons.filter((reason) => reason === 'ok')).toHaveLength(1);
    expect(reasons.filter((reason) => !['ok', 'FACTOR_INVALID', 'CHALLENGE_INVALID'].includes(reason))).toEqual([]);
  });
});

test('a passkey without a counter is accepted once for each challenge', async () => {
  const person = await withPasskey(call, undefined, PAGE, createAuthenticator({ counts: false }));
  const ceremony = await alone(person);
  const response = ceremony.respond();
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => finish(ceremony, response)));
  expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
  const next = await alone(person);
  expect((await finish(next, response)).reason).toBe('FACTOR_INVALID');
  expect((await finish(next, next.respond())).code).toBe('ok');
});

test('a registration with a flaw adds nothing, is audited, and loses nothing', async () => {
  const person = await reauthenticated(call, await signedIn(call));
  const bearer = person.accessToken;
  const { challengeId, creationOptions } = (await call(account.startAddPasskey, {}, { bearer })).body;
  const respond = (flaw: object = {}) => createAuthenticator().register(creationOptions, { origin: PAGE, ...flaw });
  const [method, field] = [account.finishAddPasskey, 'passkeyRegistration'] as const;
  const ceremony: Ceremony = { method, field, bearer, challengeId, respond };
  const rejected = registrationFlaws(RELYING_PARTY);
  for (const [name, cause, flaw] of rejected) await expectRejected(ceremony, name, cause, respond(flaw));
  await expectTextsRejected(ceremony);
  await expectAudited(
    person.userId,
    rejected.map(([, cause]) => cause),
  );
  expect((await call(account.listFactors, {}, { bearer })).body.factors).toEqual([]);
  expect((await finish(ceremony, respond())).code).toBe('ok');
});

test('a passkey with an id of 1,023 bytes is added and signs in', async () => {
  const person = await reauthenticated(call, await signedIn(call));
  const bearer = person.accessToken;
  const { challengeId, creationOptions } = (await call(account.startAddPasskey, {}, { bearer })).body;
  const authenticator = createAuthenticator();
  const options = { origin: PAGE, credentialId: Buffer.alloc(1_023, 5) };
  const passkeyRegistration = authenticator.register(creationOptions, options);
  const added = await call(account.finishAddPasskey, { challengeId, passkeyRegistration }, { bearer });
  expect(added.code).toBe('ok');
  for (const start of [secondStep, alone]) {
    const ceremony = await start({ ...person, authenticator, factorId: '', recoveryCodes: [] });
    expect((await finish(ceremony, ceremony.respond())).code).toBe('ok');
  }
});

test('no call of this file failed internally', () => {
  const failures = app.logs.filter((line) => /"level":"error"|"code":"(internal|unknown)"/.test(line));
  expect(failures).toEqual([]);
});

async function expectRejected(ceremony: Ceremony, name: string, cause: string, text: string): Promise<void> {
  const { reason, fields } = await finish(ceremony, text);
  const field = ceremony.field === 'passkeyAssertion' ? 'passkey_assertion' : 'passkey_registration';
  const expected = cause === 'form' ? { reason: 'INVALID_ARGUMENT', fields: [field] } : { reason: 'FACTOR_INVALID' };
  expect({ reason, ...(fields && { fields }) }, name).toEqual(expected);
}

async function expectTextsRejected(ceremony: Ceremony): Promise<void> {
  for (const [name, change] of TEXT_FLAWS) {
    const text = change(ceremony.respond());
    if (text.length <= 64 * 1024) await expectRejected(ceremony, name, 'form', text);
    else expect((await finish(ceremony, text)).reason, name).toBe('MESSAGE_TOO_LARGE');
  }
}

async function expectAudited(userId: string, causes: string[]): Promise<void> {
  const expected = causes.filter((cause) => cause !== 'form').map((cause) => `passkey: ${cause}`);
  await eventually(async () => {
    const { rows } = await app.owner.query<{ detail: string }>(
      "SELECT detail FROM audit_events WHERE user_id = $1 AND type = 'factor_failed' ORDER BY seq",
      [userId],
    );
    return rows.length === expected.length && rows;
  }).then((rows) => expect(rows.map(({ detail }) => detail)).toEqual(expected));
}

function optionsOf({ respond }: Ceremony): string {
  const { response } = JSON.parse(respond());
  const { challenge } = JSON.parse(Buffer.from(response.clientDataJSON, 'base64url').toString());
  return JSON.stringify({ challenge, rpId: RELYING_PARTY.id });
}
