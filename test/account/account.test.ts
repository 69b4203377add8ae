import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { connectRedis } from '../../src/redis/connect-redis.ts';
import { startTestApp, testApp } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, type SignedIn, signedIn } from '../support/people.ts';

const app = await testApp();
const { call } = app;

const as = ({ accessToken }: SignedIn) => ({ bearer: accessToken });

test('UpdateMe changes the name only', async () => {
  const person = await signedIn(call);
  const { body } = await call(account.updateMe, { fullName: '  Ada  Lovelace ' }, as(person));
  expect(body.user).toMatchObject({ fullName: 'Ada  Lovelace', email: person.email, roles: ['user'] });
  expect((await call(account.getMe, {}, as(person))).body.user.fullName).toBe('Ada  Lovelace');
  expect((await call(account.updateMe, { fullName: '\u202e' }, as(person))).fields).toEqual(['full_name']);
  expect((await call(account.updateMe, {}, as(person))).fields).toEqual(['full_name']);
});

describe('sessions', () => {
  test('are listed with where they were used last, and the caller’s session is marked', async () => {
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

  test('end one by one, or all others at once, and those of other users cannot be ended', async () => {
    const [one, stranger] = [await signedIn(call), await signedIn(call)];
    const [two, three] = [await signedIn(call, one), await signedIn(call, one)];
    const idOf = async (of: SignedIn) =>
      (await call(account.listSessions, {}, as(of))).body.sessions.find(({ current }: { current: boolean }) => current)
        .id;
    const [twoId, strangerId] = [await idOf(two), await idOf(stranger)];
    const revoke = (sessionId: string) =>
      call(account.revokeSession, { sessionId, currentPassword: one.password }, as(one));
    expect(await revoke(twoId)).toEqual({ code: 'ok', body: {} });
    expect(await isAccepted(call, two.accessToken)).toBe(false);
    expect((await call(auth.refresh, { refreshToken: two.refreshToken })).reason).toBe('SESSION_ENDED');
    for (const id of [twoId, strangerId, '00000000-0000-7000-8000-000000000000']) {
      expect(await revoke(id)).toMatchObject({ code: 'not_found', reason: 'SESSION_NOT_FOUND' });
    }
    expect((await revoke('x')).fields).toEqual(['session_id']);
    expect(await isAccepted(call, stranger.accessToken)).toBe(true);
    expect((await call(account.revokeOtherSessions, { currentPassword: one.password }, as(one))).body).toEqual({
      revoked: 1,
    });
    expect(await isAccepted(call, three.accessToken)).toBe(false);
    expect(await isAccepted(call, one.accessToken)).toBe(true);
    expect((await call(account.revokeOtherSessions, { currentPassword: one.password }, as(one))).body).toEqual({
      revoked: 0,
    });
  });

  test('have a maximum number for each user: the next one ends the least recently used one', async () => {
    const crowded = await startTestApp({ MAX_SESSIONS_PER_USER: '3' });
    onTestFinished(() => crowded.close());
    const ask = viaFetch(crowded.url);
    const first = await signedIn(ask);
    const sessions = [first];
    for (let n = 0; n < 2; n += 1) sessions.push(await signedIn(ask, first));
    crowded.advance(1_000);
    await ask(auth.refresh, { refreshToken: first.refreshToken });
    crowded.advance(1_000);
    sessions.push(await signedIn(ask, first));
    const good = () => Promise.all(sessions.map(({ accessToken }) => isAccepted(ask, accessToken)));
    expect(await eventually(async () => ((await good()).includes(false) ? good() : null))).toEqual([
      true,
      false,
      true,
      true,
    ]);
    const { rows } = await eventually(async () => {
      const found = await crowded.owner.query("SELECT detail FROM audit_events WHERE type = 'session_revoked'");
      return found.rows.length > 0 ? found : null;
    });
    expect(rows).toEqual([{ detail: 'too many sessions' }]);
    await Promise.all(Array.from({ length: 30 }, () => signedIn(ask, first)));
    const live = 'SELECT FROM sessions WHERE user_id = $1 AND ended_at IS NULL';
    expect((await crowded.owner.query(live, [first.userId])).rowCount).toBe(3);
  });

  test('are all listed, up to the maximum number and the longest user agents', async () => {
    const wordy = viaAgent('x'.repeat(1_000));
    const person = await signedIn(wordy);
    await app.owner.query(
      `INSERT INTO sessions (id, user_id, created_at, expires_at, ends_by, address, user_agent)
        SELECT gen_random_uuid(), user_id, created_at, expires_at, ends_by, 'fe80:1111:2222:3333:4444:5555:6666:7777', user_agent
        FROM sessions, generate_series(1, 150) WHERE user_id = $1`,
      [person.userId],
    );
    const latest = await signedIn(wordy, person);
    const { code, body } = await call(account.listSessions, {}, as(latest));
    expect(code).toBe('ok');
    expect(body.sessions).toHaveLength(100);
  });

  test('are neither listed nor ended once they have expired', async () => {
    const person = await signedIn(call);
    const other = await signedIn(call, person);
    const { body } = await call(account.listSessions, {}, as(other));
    const { id } = body.sessions.find(({ current }: { current: boolean }) => !current);
    await app.owner.query("UPDATE sessions SET expires_at = now() - interval '1 day' WHERE id = $1", [id]);
    expect(
      (await call(account.revokeSession, { sessionId: id, currentPassword: other.password }, as(other))).reason,
    ).toBe('SESSION_NOT_FOUND');
    expect((await call(account.revokeOtherSessions, { currentPassword: other.password }, as(other))).body).toEqual({
      revoked: 0,
    });
  });

  test('beyond the current maximum can still be ended, and the user can still sign in', async () => {
    const person = await signedIn(call);
    await app.owner.query(
      `INSERT INTO sessions (id, user_id, created_at, expires_at, ends_by)
        SELECT gen_random_uuid(), user_id, created_at, expires_at, ends_by
        FROM sessions, generate_series(1, 17000) WHERE user_id = $1`,
      [person.userId],
    );
    const { body } = await call(account.revokeOtherSessions, { currentPassword: person.password }, as(person));
    expect(body).toEqual({ revoked: 17_000 });
    await app.owner.query('UPDATE sessions SET ended_at = NULL WHERE user_id = $1', [person.userId]);
    expect((await call(auth.login, { email: person.email, password: person.password })).code).toBe('ok');
    const live = 'SELECT FROM sessions WHERE user_id = $1 AND ended_at IS NULL';
    expect((await app.owner.query(live, [person.userId])).rowCount).toBe(100);
    await app.owner.query('DELETE FROM outbox');
  });

  test('can end themselves', async () => {
    const person = await signedIn(call);
    const { body } = await call(account.listSessions, {}, as(person));
    await call(account.revokeSession, { sessionId: body.sessions[0].id }, as(person));
    expect(await isAccepted(call, person.accessToken)).toBe(false);
  });
});

test('a notice goes to the address at the time of the event, and not to the one that a thief has set since', async () => {
  const late = await startTestApp({}, { api: true, worker: false });
  const ask = viaFetch(late.url);
  const person = await signedIn(ask);
  const change = { currentPassword: person.password, newPassword: 'the pass phrase of a thief' };
  await ask(account.changePassword, change, as(person));
  await late.owner.query("UPDATE users SET email = 'thief@people.example' WHERE id = $1", [person.userId]);
  const worker = await startApp(readConfig(late.environment), { api: false, worker: true }, createLogger('silent'));
  onTestFinished(async () => {
    await worker.close();
    await late.close();
  });
  const mail = await eventually(() =>
    late.mailbox.mails.find(({ subject }) => subject === 'Your password was changed'),
  );
  expect(mail.to).toBe(person.email);
});

describe('DeleteMe', () => {
  test('deletes the account with all personal data and its tokens; the audit trail keeps an id', async () => {
    const person = await signedIn(call);
    const other = await signedIn(call, person);
    await call(auth.requestReset, { email: person.email });
    expect(await call(account.deleteMe, { currentPassword: person.password }, as(person))).toEqual({
      code: 'ok',
      body: {},
    });
    for (const { accessToken, refreshToken } of [person, other]) {
      expect(await isAccepted(call, accessToken)).toBe(false);
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

  test('leaves no addresses and user agents after the worker has run', async () => {
    const [person, other] = [await signedIn(viaAgent('Phone/1')), await signedIn(viaAgent('Phone/2'))];
    await viaAgent('Phone/1')(auth.login, { email: person.email, password: 'a wrong pass phrase' });
    await viaAgent('Phone/1')(account.deleteMe, { currentPassword: person.password }, as(person));
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
    const traces = async (userId: string) => {
      const { rows } = await app.owner.query(
        'SELECT type, address || user_agent AS trace FROM audit_events WHERE user_id = $1',
        [userId],
      );
      return rows.map(({ type, trace }) => [type, trace]);
    };
    expect(await traces(person.userId)).toContainEqual(['login_failed', '127.0.0.1Phone/1']);
    // Not before late events can have arrived.
    await app.owner.query("UPDATE erasures SET deleted_at = deleted_at - interval '2 minutes'");
    const left = await eventually(async () => {
      const found = await traces(person.userId);
      return found.every(([, trace]) => trace === '') ? found : null;
    });
    expect(left.map(([type]) => type)).toEqual(
      expect.arrayContaining(['registered', 'login_failed', 'account_deleted']),
    );
    expect((await app.owner.query('SELECT FROM erasures')).rowCount).toBe(0);
    expect(await traces(other.userId)).toContainEqual(['login_succeeded', '127.0.0.1Phone/2']);
  });

  test('deletes mails that could not be sent', async () => {
    const [person, other] = [await signedIn(call), await signedIn(call)];
    const dead = (payload: object) =>
      app.owner.query(
        "INSERT INTO outbox (id, topic, payload, created_at, dead_at) VALUES (gen_random_uuid(), 'mail', $1, now(), now())",
        [JSON.stringify(payload)],
      );
    await dead({ template: 'password-reset', email: person.email });
    await dead({ template: 'password-changed', userId: person.userId, email: `former-${person.email}` });
    await dead({ template: 'password-reset', email: other.email });
    await call(account.deleteMe, { currentPassword: person.password }, as(person));
    await dead({ template: 'account-deleted', userId: person.userId, email: person.email });
    await app.owner.query("UPDATE erasures SET deleted_at = deleted_at - interval '2 minutes'");
    await eventually(async () => (await app.owner.query('SELECT FROM erasures')).rowCount === 0);
    const { rows } = await app.owner.query('SELECT payload FROM outbox WHERE dead_at IS NOT NULL');
    expect(rows.map(({ payload }) => payload.email)).toEqual([other.email]);
    await app.owner.query('DELETE FROM outbox WHERE dead_at IS NOT NULL');
  });

  test('fails when the account has changed while the password was checked', async () => {
    const slow = await startTestApp({ ARGON2_ITERATIONS: '40', ARGON2_MEMORY_KIB: '8192' });
    onTestFinished(() => slow.close());
    const ask = viaFetch(slow.url);
    const changes = [
      'UPDATE users SET disabled_at = now() WHERE id = $1',
      'UPDATE users SET password_epoch = password_epoch + 1 WHERE id = $1',
      'UPDATE sessions SET ended_at = now() WHERE user_id = $1',
    ];
    for (const change of changes) {
      const person = await signedIn(ask);
      const deleting = ask(account.deleteMe, { currentPassword: person.password }, as(person));
      await sleep(60);
      await slow.owner.query(change, [person.userId]);
      expect((await deleting).reason, change).toBe('TOKEN_REVOKED');
      expect((await slow.owner.query('SELECT FROM users WHERE id = $1', [person.userId])).rowCount).toBe(1);
    }
  });

  test('leaves the address free for another account, which has no data of the first', async () => {
    const person = await signedIn(call);
    const redis = connectRedis(app.environment.REDIS_URL ?? '', {}, () => {});
    onTestFinished(() => redis.disconnect());
    const places = async () => (await redis.keys('latchkey:place:*')).length;
    const before = await places();
    await call(account.deleteMe, { currentPassword: person.password }, as(person));
    expect(await places()).toBe(before - 1);
    const again = await call(auth.register, person);
    expect(again.body.user.id).not.toBe(person.userId);
  });
});

function viaAgent(userAgent: string): Caller {
  return (method, input, options = {}) =>
    call(method, input, { ...options, headers: { ...options.headers, 'user-agent': userAgent } });
}
