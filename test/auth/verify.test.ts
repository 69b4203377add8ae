import { expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { account, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, registered, signedIn } from '../support/people.ts';

const app = await testApp({ AUDIENCE: 'shop,warehouse', VERIFY_REVALIDATE_SECONDS: '3' });
const { call } = app;

test('returns the principal and how long the response may be cached', async () => {
  const person = await signedIn(call);
  const { body } = await call(auth.verify, { accessToken: person.accessToken, audience: 'warehouse' });
  expect(body.principal).toMatchObject({ userId: person.userId, email: person.email, roles: ['user'] });
  const keepFor = new Date(body.revalidateAt).getTime() - Date.now();
  expect(keepFor).toBeGreaterThan(1_500);
  expect(keepFor).toBeLessThanOrEqual(3_000);
  expect(new Date(body.principal.expiresAt).getTime() - new Date(body.principal.issuedAt).getTime()).toBe(900_000);
});

test('uses the token in the field, and without one the token of the call', async () => {
  const [one, two] = [await signedIn(call), await signedIn(call)];
  const both = await call(auth.verify, { accessToken: one.accessToken }, { bearer: two.accessToken });
  expect(both.body.principal.userId).toBe(one.userId);
  expect((await call(auth.verify, {}, { bearer: two.accessToken })).body.principal.userId).toBe(two.userId);
  expect((await call(auth.verify, { accessToken: 'x' }, { bearer: two.accessToken })).reason).toBe('TOKEN_INVALID');
  expect((await call(auth.verify, {})).reason).toBe('CREDENTIALS_MISSING');
});

test.each([['office'], ['shop,warehouse'], ['Shop']])('a token is rejected for the audience %s', async (audience) => {
  const { accessToken } = await signedIn(call);
  expect(await call(auth.verify, { accessToken, audience })).toMatchObject({
    code: 'unauthenticated',
    reason: 'AUDIENCE_MISMATCH',
  });
});

test('an access token is valid for 15 minutes', async () => {
  const { accessToken } = await signedIn(call);
  app.advance(899_000 - 5_000);
  expect(await isAccepted(call, accessToken)).toBe(true);
  app.advance(6_000);
  expect((await call(auth.verify, { accessToken })).reason).toBe('TOKEN_EXPIRED');
});

test('signing out ends the session at once, with any of its tokens, and may be repeated', async () => {
  const person = await signedIn(call);
  const other = await signedIn(call, person);
  const { tokens } = (await call(auth.refresh, { refreshToken: person.refreshToken })).body;
  expect((await call(auth.logout, { refreshToken: person.refreshToken })).code).toBe('ok');
  for (const accessToken of [person.accessToken, tokens.accessToken]) {
    expect((await call(auth.verify, { accessToken })).reason).toBe('TOKEN_REVOKED');
  }
  expect((await call(auth.refresh, { refreshToken: tokens.refreshToken })).reason).toBe('SESSION_ENDED');
  expect((await call(auth.logout, { refreshToken: tokens.refreshToken })).code).toBe('ok');
  expect((await call(auth.logout, { refreshToken: 'never was one' })).code).toBe('ok');
  expect(await call(auth.logout, {}, { bearer: tokens.accessToken })).toMatchObject({
    reason: 'INVALID_ARGUMENT',
    fields: ['refresh_token'],
  });
  expect(await isAccepted(call, other.accessToken)).toBe(true);
});

test.each([
  ['disabled', 'UPDATE users SET disabled_at = now() WHERE id = $1'],
  ['deleted', 'DELETE FROM users WHERE id = $1'],
])('a token of a user who is %s is rejected', async (_, statement) => {
  const person = await signedIn(call);
  await app.owner.query(statement, [person.userId]);
  // Within a second, by the notification of the database alone.
  const verify = () => call(auth.verify, { accessToken: person.accessToken });
  await eventually(async () => (await verify()).reason === 'TOKEN_REVOKED', 1_000);
  expect((await call(account.getMe, {}, { bearer: person.accessToken })).reason).toBe('TOKEN_REVOKED');
});

test.each([
  ['is granted a role', "INSERT INTO user_roles VALUES ($1, 'admin', now())"],
  ['loses a role', "DELETE FROM user_roles WHERE user_id = $1 AND role = 'user'"],
])('a token of a user who %s is stale, and the next one has the new claims', async (_, statement) => {
  const person = await signedIn(call);
  await app.owner.query(statement, [person.userId]);
  const verify = () => call(auth.verify, { accessToken: person.accessToken });
  await eventually(async () => (await verify()).reason === 'TOKEN_STALE', 1_000);
  expect(await verify()).toMatchObject({ code: 'unauthenticated', reason: 'TOKEN_STALE' });
  const { tokens } = (await call(auth.refresh, { refreshToken: person.refreshToken })).body;
  const { rows } = await app.owner.query('SELECT role FROM user_roles WHERE user_id = $1 ORDER BY role', [
    person.userId,
  ]);
  const { principal } = (await call(auth.verify, { accessToken: tokens.accessToken })).body;
  expect(principal.roles).toEqual(rows.map(({ role }) => role));
});

test('an enabled user can continue the session, but not with the old token', async () => {
  const person = await signedIn(call);
  await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [person.userId]);
  const verify = (accessToken: string) => call(auth.verify, { accessToken });
  await eventually(async () => (await verify(person.accessToken)).reason === 'TOKEN_REVOKED', 1_000);
  await app.owner.query('UPDATE users SET disabled_at = NULL WHERE id = $1', [person.userId]);
  const { tokens } = (await call(auth.refresh, { refreshToken: person.refreshToken })).body;
  expect((await verify(tokens.accessToken)).code).toBe('ok');
  expect((await verify(person.accessToken)).reason).toBe('TOKEN_REVOKED');
});

test('rejects a token of another kind, which ends no session', async () => {
  const person = await signedIn(call);
  expect((await call(auth.verify, { accessToken: person.refreshToken })).reason).toBe('TOKEN_INVALID');
  expect((await call(account.getMe, {}, { bearer: person.refreshToken })).reason).toBe('TOKEN_INVALID');
  expect((await call(auth.logout, { refreshToken: person.accessToken })).code).toBe('ok');
  expect(await isAccepted(call, person.accessToken)).toBe(true);
});

test('ids are UUIDs that sort by time', async () => {
  const ids = [];
  for (let n = 0; n < 5; n += 1) ids.push((await registered(call)).userId);
  expect(ids).toEqual(ids.toSorted());
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
});

test('rejects a service key as a user', async () => {
  expect((await call(account.getMe, {}, { bearer: SERVICE_KEY })).reason).toBe('PERMISSION_DENIED');
  expect((await call(auth.verify, { accessToken: SERVICE_KEY })).reason).toBe('API_KEY_NOT_ACCEPTED');
});

test('a call is rejected when the session ends before its body arrives', async () => {
  const http = await import('node:http');
  const person = await registered(call);
  const session = await signedIn(call, person);
  const body = JSON.stringify({ currentPassword: person.password, newPassword: 'set by a ghost' });
  const request = http.request(`${app.url}/latchkey.auth.v1.AccountService/ChangePassword`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': body.length,
      authorization: `Bearer ${session.accessToken}`,
    },
  });
  const answered = new Promise<number>((resolve) =>
    request.once('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }),
  );
  request.write(body.slice(0, 10));
  await new Promise((resolve) => setTimeout(resolve, 200));
  await call(auth.logout, { refreshToken: session.refreshToken });
  request.end(body.slice(10));
  expect(await answered).toBe(401);
  await signedIn(call, person);
});
