import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { auth, verifierService } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn, signedInWith } from '../support/people.ts';

const app = await testApp();
const { call } = app;

const ask = (checks: object[], bearer = SERVICE_KEY) =>
  call(verifierService.batchCheckRole, { checks } as never, { bearer });

test('returns the decision of CheckRole for each check, by token and by user id, in their order', async () => {
  const [person, chief] = [await signedIn(call), await signedInWith(app, call, ['admin'])];
  const out = await signedIn(call);
  await call(auth.logout, { refreshToken: out.refreshToken });
  const { body } = await ask([
    { accessToken: person.accessToken, role: 'user' },
    { userId: chief.userId, role: 'admin' },
    { accessToken: person.accessToken, role: 'admin' },
    { userId: person.userId, role: 'admin' },
    { accessToken: 'x', role: 'user' },
    { role: 'user' },
    { userId: randomUUID(), role: 'user' },
    { accessToken: out.accessToken, role: 'user' },
    { accessToken: chief.accessToken, role: 'user' },
  ]);
  const reasons = body.answers.map(({ allowed, reason }: { allowed: boolean; reason: string }) =>
    allowed ? 'yes' : reason.replace('REASON_', ''),
  );
  const [no, invalid] = ['ROLE_NOT_GRANTED', 'TOKEN_INVALID'];
  expect(reasons).toEqual(['yes', 'yes', no, no, invalid, invalid, 'USER_NOT_FOUND', 'TOKEN_REVOKED', 'yes']);
});

test('names every invalid field of every check, and accepts a thousand checks', async () => {
  const { userId } = await signedIn(call);
  const good = { userId, role: 'user' };
  expect((await ask([good, { userId: 'x', role: 'X' }])).fields).toEqual(['checks[1].role', 'checks[1].user_id']);
  expect((await ask([])).fields).toEqual(['checks']);
  expect((await ask(Array(1_001).fill(good))).fields).toEqual(['checks']);
  const { body } = await ask(Array(1_000).fill(good));
  expect(body.answers).toHaveLength(1_000);
  expect((await ask([good], 'nonsense')).reason).toBe('TOKEN_INVALID');
});

test('a caller that checks many different roles cannot fill the audit trail', async () => {
  const person = await signedIn(call);
  const roles = Array.from({ length: 60 }, (_, n) => `role-${n}`);
  for (const role of roles) await call(auth.checkRole, { accessToken: person.accessToken, role });
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  const found = "SELECT FROM audit_events WHERE type = 'role_denied' AND user_id = $1";
  expect((await app.owner.query(found, [person.userId])).rowCount).toBe(20);
});

test('a denied role is audited once in 15 minutes, for every kind of check', async () => {
  const person = await signedIn(call);
  const denials = async () => {
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
    const { rows } = await app.owner.query(
      "SELECT target FROM audit_events WHERE type = 'role_denied' AND user_id = $1 ORDER BY target",
      [person.userId],
    );
    return rows.map(({ target }) => target);
  };
  const byToken = (role: string) => call(auth.checkRole, { accessToken: person.accessToken, role });
  await byToken('user');
  expect(await denials()).toEqual([]);
  for (let n = 0; n < 3; n += 1) expect((await byToken('admin')).body.reason).toBe('REASON_ROLE_NOT_GRANTED');
  await call(auth.checkRole, { userId: person.userId, role: 'admin' }, { bearer: SERVICE_KEY });
  expect(await denials()).toEqual(['role:admin']);
  await ask([{ userId: person.userId, role: 'one' }]);
  await fetch(`${app.url}/forward-auth?role=two`, { headers: { authorization: `Bearer ${person.accessToken}` } });
  expect(await denials()).toEqual(['role:admin', 'role:one', 'role:two']);
  app.advance(901_000);
  await call(auth.checkRole, { userId: person.userId, role: 'admin' }, { bearer: SERVICE_KEY });
  expect(await denials()).toEqual(['role:admin', 'role:admin', 'role:one', 'role:two']);
});
