// The strength of a session in its tokens: a refresh keeps it, a step-up can only raise it.
import { decodeJwt } from 'jose';
import { expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, auth } from '../support/clients.ts';
import { newPerson, refreshed, signedIn } from '../support/people.ts';
import {
  addPasskey,
  signInWithCode,
  signInWithPasskey,
  stepUpWithCode,
  stepUpWithPasskey,
  tokensOf,
  withTotp,
} from '../support/second-factors.ts';

const app = await testApp();
const { call } = app;

function strengthOf({ accessToken }: { accessToken: string }) {
  const { acr, amr, auth_time } = decodeJwt(accessToken);
  return { acr, amr, auth_time };
}

async function withBoth() {
  const person = await withTotp(app, call);
  return { ...person, ...(await addPasskey(call, person)) };
}

test('Refresh keeps it, also for a lost response that is repeated', async () => {
  const session = await signInWithPasskey(call, await withBoth());
  const strength = strengthOf(session);
  expect(strength).toMatchObject({ acr: 'phr', amr: ['mfa', 'pop', 'pwd'] });
  app.advance(600_000);
  const input = { refreshToken: session.refreshToken, requestId: 'lost' };
  const next = await call(auth.refresh, input);
  const repeated = await call(auth.refresh, input);
  expect(strengthOf(next.body.tokens)).toEqual(strength);
  expect(strengthOf(repeated.body.tokens)).toEqual(strength);
  expect(strengthOf(await refreshed(call, { ...session, ...tokensOf(repeated.body) }))).toEqual(strength);
});

test('Reauthenticate and ChangePassword renew the time of a session by password', async () => {
  const person = await signedIn(call);
  const begun = strengthOf(person).auth_time as number;
  app.advance(60_000);
  const { body } = await call(
    account.reauthenticate,
    { currentPassword: person.password },
    { bearer: person.accessToken },
  );
  const renewed = strengthOf(tokensOf(body));
  expect(renewed).toMatchObject({ acr: 'pwd', amr: ['pwd'] });
  expect(renewed.auth_time).toBeGreaterThanOrEqual(begun + 60);
  app.advance(60_000);
  const input = { currentPassword: person.password, newPassword: newPerson().password };
  const changed = await call(account.changePassword, input, { bearer: tokensOf(body).accessToken });
  expect(strengthOf(tokensOf(changed.body)).auth_time).toBeGreaterThanOrEqual(begun + 120);
});

test('ChangePassword does not renew the time of a stronger session', async () => {
  const session = await stepUpWithCode(app, call, await signInWithCode(app, call, await withBoth()));
  const strength = strengthOf(session);
  app.advance(60_000);
  const input = { currentPassword: session.password, newPassword: newPerson().password };
  const changed = await call(account.changePassword, input, { bearer: session.accessToken });
  expect(strengthOf(tokensOf(changed.body))).toEqual(strength);
});

test('a step-up by a stronger factor raises it, and one by a weaker factor leaves it and its time', async () => {
  const person = await withBoth();
  const byCode = await signInWithCode(app, call, person);
  expect(strengthOf(byCode)).toMatchObject({ acr: 'mfa', amr: ['mfa', 'otp', 'pwd'] });
  app.advance(60_000);
  const raised = await stepUpWithPasskey(call, byCode);
  const strength = strengthOf(raised);
  expect(strength).toMatchObject({ acr: 'phr', amr: ['mfa', 'otp', 'pop', 'pwd'] });
  expect(strength.auth_time).toBeGreaterThanOrEqual((strengthOf(byCode).auth_time as number) + 60);
  app.advance(60_000);
  const weaker = await stepUpWithCode(app, call, raised);
  expect(strengthOf(weaker)).toEqual(strength);
  app.advance(60_000);
  const same = await stepUpWithPasskey(call, weaker);
  expect(strengthOf(same).auth_time).toBeGreaterThan(strength.auth_time as number);
});

test('the first factor gives its strength to the session that adds it, and to no other', async () => {
  const person = await signedIn(call);
  const other = await signedIn(call, person);
  const owner = await withTotp(app, call, person);
  expect(strengthOf(owner)).toMatchObject({ acr: 'mfa', amr: ['mfa', 'otp', 'pwd'] });
  expect(strengthOf(await refreshed(call, other))).toMatchObject({ acr: 'pwd', amr: ['pwd'] });
});
