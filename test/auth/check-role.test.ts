import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, signedIn } from '../support/people.ts';

const app = await testApp();
const { call } = app;

test('a check by token uses the roles of the token', async () => {
  const { accessToken } = await signedIn(call);
  expect((await call(auth.checkRole, { accessToken, role: 'user' })).body).toMatchObject({ allowed: true });
  expect((await call(auth.checkRole, { accessToken, role: 'editor' })).body).toEqual({
    allowed: false,
    reason: 'REASON_ROLE_NOT_GRANTED',
  });
  expect((await call(auth.checkRole, { role: 'user' }, { bearer: accessToken })).body.allowed).toBe(true);
});

test('a check by token fails as Verify does', async () => {
  const person = await signedIn(call);
  expect((await call(auth.checkRole, { accessToken: 'x', role: 'user' })).reason).toBe('TOKEN_INVALID');
  expect((await call(auth.checkRole, { role: 'user' })).reason).toBe('CREDENTIALS_MISSING');
  await call(auth.logout, { refreshToken: person.refreshToken });
  expect((await call(auth.checkRole, { accessToken: person.accessToken, role: 'user' })).reason).toBe('TOKEN_REVOKED');
});

test('a check by user id is allowed for services and administrators only', async () => {
  const [person, other] = [await signedIn(call), await registered(call)];
  const ask = (bearer?: string) =>
    call(auth.checkRole, { userId: other.userId, role: 'user' }, bearer ? { bearer } : {});
  expect((await ask()).reason).toBe('CREDENTIALS_MISSING');
  expect((await ask('nonsense')).reason).toBe('TOKEN_INVALID');
  expect(await ask(person.accessToken)).toMatchObject({ code: 'permission_denied', reason: 'PERMISSION_DENIED' });
  expect((await ask(`${SERVICE_KEY}x`)).reason).toBe('TOKEN_INVALID');
  expect((await ask(SERVICE_KEY)).body).toMatchObject({ allowed: true });
  await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [person.userId]);
  const admin = (await call(auth.refresh, { refreshToken: person.refreshToken })).body.tokens.accessToken;
  expect((await ask(admin)).body).toMatchObject({ allowed: true });
  // The denial is audited with its subject and role.
  const events = await eventually(async () => {
    const { rows } = await app.owner.query(
      "SELECT detail FROM audit_events WHERE type = 'permission_denied' AND user_id = $1",
      [person.userId],
    );
    return rows.length > 0 ? rows : null;
  });
  expect(events).toEqual([{ detail: 'latchkey.auth.v1.CheckRoleRequest.user_id' }]);
});

test('one caller cannot fill the audit trail with denied checks', async () => {
  const person = await signedIn(call);
  const ask = () => call(auth.checkRole, { userId: person.userId, role: 'admin' }, { bearer: person.accessToken });
  const outcomes = await Promise.all(Array.from({ length: 60 }, ask));
  expect(new Set(outcomes.map(({ reason }) => reason))).toEqual(new Set(['PERMISSION_DENIED']));
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const { rows } = await app.owner.query(
    "SELECT count(*)::int AS n FROM audit_events WHERE type = 'permission_denied' AND user_id = $1",
    [person.userId],
  );
  expect(rows).toEqual([{ n: 20 }]);
});

test('a check by user id uses the current roles in the database', async () => {
  const person = await registered(call);
  const ask = async (userId: string, role: string) =>
    (await call(auth.checkRole, { userId, role }, { bearer: SERVICE_KEY })).body;
  expect(await ask(person.userId, 'admin')).toEqual({ allowed: false, reason: 'REASON_ROLE_NOT_GRANTED' });
  await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [person.userId]);
  expect((await ask(person.userId, 'admin')).allowed).toBe(true);
  await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [person.userId]);
  expect(await ask(person.userId, 'admin')).toEqual({ allowed: false, reason: 'REASON_USER_DISABLED' });
  expect(await ask(randomUUID(), 'user')).toEqual({ allowed: false, reason: 'REASON_USER_NOT_FOUND' });
});

test('names all invalid fields at once', async () => {
  const outcome = await call(auth.checkRole, { userId: 'x', role: 'Not A Role' }, { bearer: SERVICE_KEY });
  expect(outcome.fields?.toSorted()).toEqual(['role', 'user_id']);
});
