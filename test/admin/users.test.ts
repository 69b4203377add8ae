import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { admin, auth, type Caller } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, newPerson, registered, type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const app = await testApp({ LIMIT_LOGIN_ACCOUNT: '3/900', LIMIT_LOGIN_PAIR: '3/900' });
const { call } = app;
let boss: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
});

const reason = 'asked for by phone';
const ask: Caller = (method, input) => call(method, input, { bearer: boss.accessToken });
const eventsOf = (userId: string, type: string) =>
  eventually(async () => {
    const { rows } = await app.owner.query(
      'SELECT actor, detail, before, after FROM audit_events WHERE user_id = $1 AND type = $2',
      [userId, type],
    );
    return rows.length > 0 ? rows : null;
  });

test('GetUser finds a user by id or address', async () => {
  const person = await signedIn(call);
  const byId = await ask(admin.getUser, { userId: person.userId });
  expect(byId.body.user).toMatchObject({
    user: { id: person.userId, email: person.email, emailVerified: false },
    ...{ hasPassword: true, sessions: 1, providers: [], grants: [{ role: 'user' }] },
  });
  expect(byId.body.user.disabledAt).toBeUndefined();
  expect(await ask(admin.getUser, { email: person.email.toUpperCase() })).toEqual(byId);
  expect((await ask(admin.getUser, { userId: randomUUID() })).reason).toBe('USER_NOT_FOUND');
  expect((await ask(admin.getUser, { email: newPerson().email })).reason).toBe('USER_NOT_FOUND');
  expect((await ask(admin.getUser, {})).fields).toEqual(['user_id']);
  expect((await ask(admin.getUser, { email: 'x' })).fields).toEqual(['email']);
});

describe('SearchUsers', () => {
  const tag = randomUUID().slice(0, 8);
  const emails = Array.from({ length: 7 }, (_, n) => `${tag}-${n}@people.example`);
  beforeAll(async () => {
    for (const email of emails) await registered(call, { ...newPerson(), email });
    await app.owner.query('UPDATE users SET disabled_at = now() WHERE email = $1', [emails[3]]);
    await app.owner.query("INSERT INTO user_roles SELECT id, 'admin', now() FROM users WHERE email = $1", [emails[5]]);
  });
  const search = (input: object) => ask(admin.searchUsers, { emailPrefix: tag, ...input });
  const found = async (input: object) =>
    ((await search(input)).body.users as { user: { email: string } }[]).map(({ user }) => user.email);

  test('filters by address, role and disabled', async () => {
    expect(await found({})).toEqual(emails);
    expect(await found({ emailPrefix: `${tag}-6`.toUpperCase() })).toEqual([emails[6]]);
    expect(await found({ disabled: true })).toEqual([emails[3]]);
    expect(await found({ disabled: false })).toHaveLength(6);
    expect(await found({ role: 'admin' })).toEqual([emails[5]]);
    expect(await found({ role: 'user' })).toEqual(emails);
    expect(await found({ emailPrefix: `${tag}%` })).toEqual([]);
  });

  test('returns pages, and rejects malformed page tokens and those of another query', async () => {
    const seen: string[] = [];
    let pageToken = '';
    do {
      const { body } = await search({ pageSize: 3, pageToken });
      seen.push(...body.users.map(({ user }: { user: { email: string } }) => user.email));
      pageToken = body.nextPageToken;
    } while (pageToken !== '');
    expect(seen).toEqual(emails);
    const { body } = await search({ pageSize: 3 });
    const token = body.nextPageToken;
    for (const bad of [`${token}x`, token.slice(1), 'x', 'A'.repeat(600), `${token.slice(0, 22)}AAAA`]) {
      expect((await search({ pageToken: bad })).fields, bad).toEqual(['page_token']);
    }
    expect((await search({ pageToken: token, disabled: true })).fields).toEqual(['page_token']);
    for (const pageSize of [-1, 101]) expect((await search({ pageSize })).fields).toEqual(['page_size']);
  });
});

test('a page of the longest names and addresses fits into a response', async () => {
  await app.owner.query(
    `INSERT INTO users (id, email, full_name, created_at)
      SELECT gen_random_uuid(), 'longest-' || n || repeat('x', 200) || '@people.example', repeat(U&'\\+01F600', 200), now()
      FROM generate_series(1, 100) AS n`,
  );
  const { code, body } = await ask(admin.searchUsers, { emailPrefix: 'longest-', pageSize: 100 });
  expect(code).toBe('ok');
  expect(body.users).toHaveLength(100);
});

test('DisableUser blocks a user at every endpoint at once; EnableUser permits new sign-ins, and old sessions stay ended', async () => {
  const person = await signedIn(call);
  const { userId, email, password, refreshToken } = person;
  expect(await ask(admin.disableUser, { userId, reason })).toEqual({ code: 'ok', body: {} });
  expect((await call(auth.verify, person)).reason).toBe('TOKEN_REVOKED');
  expect((await call(auth.refresh, { refreshToken })).reason).toBe('SESSION_ENDED');
  expect((await call(auth.login, { email, password })).reason).toBe('CREDENTIALS_INVALID');
  expect((await ask(admin.getUser, { userId })).body.user.disabledAt).toBeDefined();
  expect((await ask(admin.disableUser, { userId, reason })).code).toBe('ok');
  expect((await ask(admin.enableUser, { userId, reason })).code).toBe('ok');
  expect((await call(auth.refresh, { refreshToken })).reason).toBe('SESSION_ENDED');
  expect((await call(auth.login, { email, password })).code).toBe('ok');
  expect(await eventsOf(userId, 'user_disabled')).toEqual([
    {
      ...{ actor: `user:${boss.userId}`, detail: reason },
      before: { disabledAt: null, hasPassword: true, passwordEpoch: 1, sessions: 1 },
      after: { disabledAt: expect.any(String), hasPassword: true, passwordEpoch: 1, sessions: 0 },
    },
  ]);
});

test('DeleteUser is permanent, and the owner receives a mail', async () => {
  const person = await signedIn(call);
  const { userId } = person;
  expect((await ask(admin.deleteUser, { userId, reason })).code).toBe('ok');
  expect(await isAccepted(call, person.accessToken)).toBe(false);
  expect((await ask(admin.getUser, { userId })).reason).toBe('USER_NOT_FOUND');
  expect((await ask(admin.deleteUser, { userId, reason })).reason).toBe('USER_NOT_FOUND');
  await eventually(() => app.mailbox.mails.some(({ to, subject }) => to === person.email && /deleted/.test(subject)));
  expect(await eventsOf(userId, 'user_deleted')).toMatchObject([{ before: { sessions: 1 }, after: null }]);
});

test('RequireNewPassword invalidates the password, and mails the link for a new one', async () => {
  const person = await signedIn(call);
  const { userId, email, password } = person;
  expect((await ask(admin.requireNewPassword, { userId, reason })).code).toBe('ok');
  expect(await isAccepted(call, person.accessToken)).toBe(false);
  expect((await call(auth.login, { email, password })).reason).toBe('CREDENTIALS_INVALID');
  const mail = await eventually(() =>
    app.mailbox.mails.find((one) => one.to === email && one.subject === 'Set a new password'),
  );
  const resetToken = mail.link?.split('#token=')[1] ?? '';
  expect((await call(auth.confirmReset, { resetToken, newPassword: 'another pass phrase' })).code).toBe('ok');
  expect((await call(auth.login, { email, password: 'another pass phrase' })).code).toBe('ok');
});

test('RequireNewPassword of a user without a password mails the link again', async () => {
  const { email } = newPerson();
  const { body } = await ask(admin.createUser, { email, fullName: 'Lou', reason });
  const links = () => app.mailbox.mails.filter((one) => one.to === email && one.subject === 'Set a new password');
  await eventually(() => links().length === 1);
  expect((await ask(admin.requireNewPassword, { userId: body.userId, reason })).code).toBe('ok');
  await eventually(() => links().length === 2);
  expect(await eventsOf(body.userId, 'new_password_required')).toHaveLength(1);
});

test('EndUserSessions ends all sessions', async () => {
  const person = await signedIn(call);
  const other = await signedIn(call, person);
  expect((await ask(admin.endUserSessions, { userId: person.userId, reason })).body).toEqual({ ended: 2 });
  for (const { accessToken } of [person, other]) expect(await isAccepted(call, accessToken)).toBe(false);
  expect((await ask(admin.endUserSessions, { userId: person.userId, reason })).body).toEqual({ ended: 0 });
});

test('UnlockUser permits attempts again from every network, or from the network of an address', async () => {
  const person = await registered(call);
  const { userId, email, password } = person;
  for (let n = 0; n < 4; n += 1) await call(auth.login, { email, password: 'a wrong pass phrase' });
  expect((await call(auth.login, { email, password })).reason).toBe('RATE_LIMITED');
  expect((await ask(admin.unlockUser, { userId, reason, address: 'x' })).fields).toEqual(['address']);
  const elsewhere = { userId, reason, address: '192.0.2.1' };
  expect((await ask(admin.unlockUser, elsewhere)).body).toEqual({ limits: ['LOGIN_ACCOUNT', 'REGISTER_ACCOUNT'] });
  expect((await call(auth.login, { email, password })).reason).toBe('RATE_LIMITED');
  expect((await ask(admin.unlockUser, { userId, reason })).body).toEqual({ limits: ['LOGIN_PAIR'] });
  expect((await ask(admin.unlockUser, { userId, reason })).body).toEqual({ limits: [] });
  expect((await call(auth.login, { email, password })).code).toBe('ok');
  const events = await eventually(async () => {
    const { rows } = await app.owner.query(
      "SELECT before, after FROM audit_events WHERE type = 'user_unlocked' AND user_id = $1 ORDER BY seq",
      [userId],
    );
    return rows.length === 3 ? rows : null;
  });
  expect(events).toEqual([
    { before: { counted: ['LOGIN_ACCOUNT', 'REGISTER_ACCOUNT'] }, after: { counted: [] } },
    { before: { counted: ['LOGIN_PAIR'] }, after: { counted: [] } },
    { before: { counted: [] }, after: { counted: [] } },
  ]);
});

test('actions on a user require a reason and an existing user', async () => {
  for (const method of [admin.disableUser, admin.enableUser, admin.deleteUser, admin.unlockUser]) {
    expect((await ask(method, { userId: 'x', reason: ' ' })).fields?.toSorted()).toEqual(['reason', 'user_id']);
    expect((await ask(method, { userId: randomUUID(), reason })).reason).toBe('USER_NOT_FOUND');
    expect((await ask(method, { userId: boss.userId, reason: 'x'.repeat(501) })).fields).toEqual(['reason']);
  }
  const person = await signedIn(call);
  const rejected = await call(admin.getUser, { userId: boss.userId }, { bearer: person.accessToken });
  expect(rejected.reason).toBe('PERMISSION_DENIED');
});
