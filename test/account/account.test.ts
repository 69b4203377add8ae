import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isGood, type SignedIn, signedIn } from '../support/people.ts';

let app: TestApp;
let call: Caller;
beforeAll(async () => {
  app = await startTestApp({ RECENT_SIGN_IN_SECONDS: '600' });
  call = viaFetch(app.url);
});
afterAll(() => app.close());

const as = ({ accessToken }: SignedIn) => ({ bearer: accessToken });

test('UpdateMe changes the name, and nothing else that a caller might send', async () => {
  const person = await signedIn(call);
  const { body } = await call(account.updateMe, { fullName: '  Ada  Lovelace ' }, as(person));
  expect(body.user).toMatchObject({ fullName: 'Ada  Lovelace', email: person.email, roles: ['user'] });
  expect((await call(account.getMe, {}, as(person))).body.user.fullName).toBe('Ada  Lovelace');
  expect((await call(account.updateMe, { fullName: '\u202e' }, as(person))).fields).toEqual(['full_name']);
  expect((await call(account.updateMe, {}, as(person))).fields).toEqual(['full_name']);
});

describe('sessions', () => {
  test('are listed with where they were used last, this one marked', async () => {
    const phone = await signedIn(viaAgent('Phone/1'));
    const laptop = await signedIn(viaAgent('Laptop/2'), phone);
    const other = await signedIn(call);
    const list = async () => (await call(account.listSessions, {}, as(laptop))).body.sessions;
    expect(await list()).toMatchObject([
      { userAgent: 'Laptop/2', address: '127.0.0.1', current: true },
      { userAgent: 'Phone/1', address: '127.0.0.1', current: false },
    ]);
    app.advance(5_000);
    await viaAgent('Phone/3')(auth.refresh, { refreshToken: phone.refreshToken });
    const [first, second] = await list();
    expect([first.userAgent, second.userAgent]).toEqual(['Phone/3', 'Laptop/2']);
    expect(Date.parse(first.lastUsedAt)).toBeGreaterThan(Date.parse(first.createdAt));
    expect((await call(account.listSessions, {}, as(other))).body.sessions).toHaveLength(1);
  });

  test('end one by one, or all the others; nobody ends those of somebody else', async () => {
    const [one, stranger] = [await signedIn(call), await signedIn(call)];
    const [two, three] = [await signedIn(call, one), await signedIn(call, one)];
    const idOf = async (of: SignedIn) =>
      (await call(account.listSessions, {}, as(of))).body.sessions.find(({ current }: { current: boolean }) => current)
        .id;
    const [twoId, strangerId] = [await idOf(two), await idOf(stranger)];
    const revoke = (sessionId: string) => call(account.revokeSession, { sessionId }, as(one));
    expect(await revoke(twoId)).toEqual({ code: 'ok', body: {} });
    expect(await isGood(call, two.accessToken)).toBe(false);
    expect((await call(auth.refresh, { refreshToken: two.refreshToken })).reason).toBe('SESSION_ENDED');
    for (const id of [twoId, strangerId, '00000000-0000-7000-8000-000000000000']) {
      expect(await revoke(id)).toMatchObject({ code: 'not_found', reason: 'SESSION_NOT_FOUND' });
    }
    expect((await revoke('x')).fields).toEqual(['session_id']);
    expect(await isGood(call, stranger.accessToken)).toBe(true);
    expect((await call(account.revokeOtherSessions, {}, as(one))).body).toEqual({ revoked: 1 });
    expect(await isGood(call, three.accessToken)).toBe(false);
    expect(await isGood(call, one.accessToken)).toBe(true);
    expect((await call(account.revokeOtherSessions, {}, as(one))).body).toEqual({ revoked: 0 });
  });

  test('one may end itself', async () => {
    const person = await signedIn(call);
    const { body } = await call(account.listSessions, {}, as(person));
    await call(account.revokeSession, { sessionId: body.sessions[0].id }, as(person));
    expect(await isGood(call, person.accessToken)).toBe(false);
  });
});

describe('what wants the owner’s presence', () => {
  const asked: [string, (person: SignedIn, currentPassword: string) => ReturnType<Caller>][] = [
    [
      'ChangeEmail',
      (person, currentPassword) =>
        call(account.changeEmail, { newEmail: `new-${person.email}`, currentPassword }, as(person)),
    ],
    ['DeleteMe', (person, currentPassword) => call(account.deleteMe, { currentPassword }, as(person))],
  ];

  test.each(asked)('%s: a sign-in of the last ten minutes, or the password', async (_, ask) => {
    const person = await signedIn(call);
    app.advance(601_000);
    const { body } = await call(auth.refresh, { refreshToken: person.refreshToken });
    const old = { ...person, ...body.tokens };
    expect(await ask(old, '')).toMatchObject({ code: 'failed_precondition', reason: 'RECENT_SIGN_IN_REQUIRED' });
    expect(await ask(old, 'a wrong pass phrase')).toMatchObject({ reason: 'PASSWORD_WRONG' });
    expect((await ask(old, person.password)).code).toBe('ok');
    expect((await ask(await signedIn(call), '')).code).toBe('ok');
  });
});

describe('DeleteMe', () => {
  test('takes the account with all personal data, and its tokens; the audit trail knows an id', async () => {
    const person = await signedIn(call);
    const other = await signedIn(call, person);
    await call(auth.requestReset, { email: person.email });
    expect(await call(account.deleteMe, {}, as(person))).toEqual({ code: 'ok', body: {} });
    for (const { accessToken, refreshToken } of [person, other]) {
      expect(await isGood(call, accessToken)).toBe(false);
      expect((await call(auth.refresh, { refreshToken })).code).toBe('unauthenticated');
    }
    expect((await call(auth.login, { email: person.email, password: person.password })).reason).toBe(
      'CREDENTIALS_INVALID',
    );
    await eventually(() => app.mailbox.mails.some(({ to, subject }) => to === person.email && /deleted/.test(subject)));
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
    const tables = await app.owner.query(
      "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    );
    for (const { name } of tables.rows) {
      const { rows } = await app.owner.query(`SELECT t::text AS row FROM ${name} AS t`);
      expect(
        rows.filter(({ row }) => row.includes(person.email)),
        name,
      ).toEqual([]);
    }
    const events = await app.owner.query('SELECT type FROM audit_events WHERE user_id = $1', [person.userId]);
    expect(events.rows.map(({ type }) => type)).toContain('account_deleted');
  });

  test('leaves the address free for another account', async () => {
    const person = await signedIn(call);
    await call(account.deleteMe, {}, as(person));
    const again = await call(auth.register, person);
    expect(again.body.user.id).not.toBe(person.userId);
  });
});

function viaAgent(userAgent: string): Caller {
  return (method, input, options = {}) =>
    call(method, input, { ...options, headers: { ...options.headers, 'user-agent': userAgent } });
}
