// The questions of a user who cannot sign in or receives no e-mail, as an administrator without a database login asks them.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Programs } from '../../src/cli/command.ts';
import { parseCommandLine } from '../../src/cli/parse-command-line.ts';
import { defectMessage, operatorMessage } from '../../src/process/operator-error.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { account, admin, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type MoodySmtp, startMoodySmtp } from '../support/moody-smtp.ts';
import { registered, type SignedIn, signedIn, signedInWith } from '../support/people.ts';
import { challenged, withTotp } from '../support/second-factors.ts';

let app: TestApp;
let smtp: MoodySmtp;
let call: Caller;
let boss: SignedIn;
const ask: Caller = (method, input) => call(method, input, { bearer: boss.accessToken });
const reason = 'a test';
const HOME = '203.0.113.7';
const OFFICE = '2001:db8:1:2::3';

beforeAll(async () => {
  smtp = await startMoodySmtp();
  app = await startTestApp({
    ...{ SMTP_URL: smtp.url, MAIL_RETRY_FOR_SECONDS: '600', JOB_BACKOFF_MS: '300000', MAX_SESSIONS_PER_USER: '3' },
    ...LIMITS,
  });
  call = viaFetch(app.url);
  boss = await signedInWith(app, call, ['admin']);
});
afterAll(async () => {
  await app.close();
  await smtp.close();
});

const LIMITS = { LIMIT_LOGIN_ACCOUNT: '50/900', LIMIT_LOGIN_PAIR: '3/900' };

/** As a process of its own would run it, which costs a second each. */
async function latchkeyIn(environment: Record<string, string>, args: string[]) {
  let output = '';
  const writing = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += text;
    return true;
  });
  const { DATABASE_URL = '' } = app.environment;
  for (const [name, value] of Object.entries({ DATABASE_URL, OPERATOR: 'tester', ...environment }))
    vi.stubEnv(name, value);
  try {
    const line = parseCommandLine(args);
    if (line.kind !== 'command') throw new Error('no command');
    await line.command.run({ args: line.args, options: line.options, programs: {} as Programs });
    return { exit: 0, output };
  } catch (error) {
    return { exit: 1, output: `${output}${operatorMessage(error) ?? defectMessage(error)}\n` };
  } finally {
    vi.unstubAllEnvs();
    writing.mockRestore();
  }
}
const latchkey = (...args: string[]) => {
  const { REDIS_URL = '', MASTER_KEY = '' } = app.environment;
  return latchkeyIn({ REDIS_URL, MASTER_KEY, ...LIMITS }, args);
};
const json = async (...args: string[]) => JSON.parse((await latchkey(...args, '--json')).output);

const loginFrom = (address: string, email: string, password = 'a wrong pass phrase') =>
  call(auth.login, { email, password }, { headers: { 'x-service-key': SERVICE_KEY, 'x-client-address': address } });
async function lockedAt(...addresses: string[]) {
  const person = await registered(call);
  for (const address of addresses) for (let n = 0; n < 4; n += 1) await loginFrom(address, person.email);
  return person;
}
const activityOf = async (userId: string) => (await ask(admin.getUserActivity, { userId })).body;
const sessionsOf = async (userId: string) => (await ask(admin.listUserSessions, { userId })).body.sessions;
const mailsOf = async (userId: string) => (await activityOf(userId)).mails ?? [];
const mailIn = (userId: string, state: string) =>
  eventually(async () => (await mailsOf(userId)).find((mail: { state: string }) => mail.state === state), 20_000);

test('GetUserActivity names the limit, the network and the end of a lock', async () => {
  const { userId, email } = await lockedAt(HOME, OFFICE);
  const { limits, limitsUnavailable } = await activityOf(userId);
  expect(limitsUnavailable).toBe(false);
  const reached = limits.filter((limit: { reached?: boolean }) => limit.reached);
  expect(reached).toEqual(
    [HOME, '2001:db8:1:2::/64'].map((network) => ({
      ...{ limit: 'LOGIN_PAIR', network, count: 4, maximum: 3, reached: true },
      resetsAt: expect.any(String),
    })),
  );
  const endsIn = Date.parse(reached[0].resetsAt) - Date.now();
  expect(endsIn).toBeGreaterThan(800_000);
  expect(endsIn).toBeLessThanOrEqual(901_000);
  const shown = await json('users', 'show', email);
  expect(shown).toMatchObject({ locked: true, locked_by: ['LOGIN_PAIR'], lock_problem: null });
  expect(Date.parse(shown.locked_until)).toBeCloseTo(Date.parse(reached[0].resetsAt), -4);
});

test('one unlock frees every network, also in parallel, and each answer is audited', async () => {
  const { userId, email, password } = await lockedAt(HOME, OFFICE);
  expect((await loginFrom(OFFICE, email, password)).reason).toBe('RATE_LIMITED');
  const calls = await Promise.all(Array.from({ length: 5 }, () => ask(admin.unlockUser, { userId, reason })));
  expect(calls.map(({ code }) => code)).toEqual(Array(5).fill('ok'));
  expect(calls.some(({ body }) => body.limits?.includes('LOGIN_PAIR'))).toBe(true);
  for (const address of [HOME, OFFICE]) expect((await loginFrom(address, email, password)).code).toBe('ok');
  expect((await activityOf(userId)).limits ?? []).toEqual([]);

  const other = await lockedAt(HOME);
  const { output } = await latchkey('users', 'unlock', other.email.toUpperCase(), '--reason', reason, '--as', 'Otto');
  expect(output).toContain(`${other.email} can try again at once\n`);
  expect((await loginFrom(HOME, other.email, other.password)).code).toBe('ok');
  const query = "SELECT actor, detail FROM audit_events WHERE type = 'user_unlocked' AND user_id = $1";
  const event = await eventually(async () => (await app.owner.query(query, [other.userId])).rows[0]);
  expect(event).toEqual({ actor: 'operator:Otto', detail: reason });
});

test('sign-ins have their time, cause, address and session', async () => {
  const { userId, email, password } = await registered(call);
  await loginFrom(HOME, email);
  await loginFrom(HOME, email, password);
  const signIns = await eventually(async () => {
    const found = (await activityOf(userId)).signIns ?? [];
    return found.length === 2 ? found : null;
  });
  const [{ id }] = await sessionsOf(userId);
  expect(signIns).toEqual([
    expect.objectContaining({ succeeded: true, sessionId: id, address: HOME }),
    expect.objectContaining({ cause: 'wrong password', address: HOME }),
  ]);
});

test('a failed second step of a sign-in is among them, and a failed step-up is not', async () => {
  const person = await withTotp(app, call);
  const totpCode = '000000';
  const bearer = person.accessToken;
  const { challenge } = (await call(account.startStepUp, {}, { bearer })).body;
  await call(account.finishStepUp, { challengeId: challenge.id, totpCode }, { bearer });
  await call(auth.finishSignIn, { challengeId: (await challenged(call, person)).id, totpCode });
  const signIns = await eventually(async () => {
    const found = (await activityOf(person.userId)).signIns ?? [];
    return found.length === 2 ? found : null;
  });
  expect(signIns.map(({ cause }: { cause: string }) => cause)).toEqual(['totp: wrong', '']);
});

test('ListUserSessions gives the reason and the actor of each end', async () => {
  const person = await signedIn(call);
  const { userId } = person;
  const reasonAfter = async (end: () => Promise<unknown>) => {
    const { accessToken, refreshToken } = await signedIn(call, person);
    const [{ id }] = await sessionsOf(userId);
    lastTokens = { accessToken, refreshToken };
    await end();
    const ended = (await sessionsOf(userId)).find((session: { id: string }) => session.id === id);
    expect(ended.endedAt).toEqual(expect.any(String));
    return [ended.endReason, ended.endedBy];
  };
  let lastTokens = { accessToken: '', refreshToken: '' };
  const own = () => ({ bearer: lastTokens.accessToken });
  expect((await sessionsOf(userId))[0]).toMatchObject({ endReason: 'END_REASON_UNSPECIFIED', endedBy: '' });
  expect(await reasonAfter(() => call(auth.logout, { refreshToken: lastTokens.refreshToken }))).toEqual([
    'END_REASON_LOGGED_OUT',
    '',
  ]);
  const revokeOwn = async () => {
    const [{ id: sessionId }] = await sessionsOf(userId);
    await call(account.revokeSession, { sessionId }, own());
  };
  expect(await reasonAfter(revokeOwn)).toEqual(['END_REASON_REVOKED', '']);
  const byBoss = `user:${boss.userId}`;
  expect(await reasonAfter(() => ask(admin.endUserSessions, { userId, reason }))).toEqual([
    'END_REASON_ENDED_BY_ADMINISTRATOR',
    byBoss,
  ]);
  const disable = async () => {
    await ask(admin.disableUser, { userId, reason });
    await ask(admin.enableUser, { userId, reason });
  };
  expect(await reasonAfter(disable)).toEqual(['END_REASON_USER_DISABLED', byBoss]);
  const reuse = async () => {
    const { refreshToken } = lastTokens;
    for (let n = 0; n < 3; n += 1) {
      lastTokens = (await call(auth.refresh, { refreshToken: lastTokens.refreshToken })).body.tokens;
    }
    expect((await call(auth.refresh, { refreshToken })).reason).toBe('REFRESH_TOKEN_REUSED');
  };
  expect(await reasonAfter(reuse)).toEqual(['END_REASON_REFRESH_TOKEN_REUSED', '']);
  const exceedMaximum = async () => {
    for (let n = 0; n < 3; n += 1) await signedIn(call, person);
  };
  expect(await reasonAfter(exceedMaximum)).toEqual(['END_REASON_TOO_MANY_SESSIONS', '']);
  const changePassword = async () => {
    const other = await signedIn(call, person);
    const { password: currentPassword } = person;
    await call(
      account.changePassword,
      { currentPassword, newPassword: 'a brand new pass phrase' },
      { bearer: other.accessToken },
    );
  };
  expect(await reasonAfter(changePassword)).toEqual(['END_REASON_PASSWORD_CHANGED', '']);

  const rows = await json('users', 'sessions', person.email, '--limit', '5');
  expect(rows.map(({ end_reason }: { end_reason: string }) => end_reason)).toEqual([
    null,
    'password_changed',
    'password_changed',
    'too_many_sessions',
    'too_many_sessions',
  ]);
});

test('sessions come in pages, and an expired one is named so', async () => {
  const { userId, accessToken } = await signedIn(call);
  await app.owner.query(
    `INSERT INTO sessions (id, user_id, created_at, expires_at, ends_by)
     SELECT gen_random_uuid(), $1, now() - interval '2 days', now() - interval '1 day', now() FROM generate_series(1, 120)`,
    [userId],
  );
  const first = (await ask(admin.listUserSessions, { userId, pageSize: 100 })).body;
  const next = { userId, pageSize: 100, pageToken: first.nextPageToken };
  const second = (await ask(admin.listUserSessions, next)).body;
  const all = [...first.sessions, ...second.sessions];
  expect(new Set(all.map(({ id }) => id)).size).toBe(121);
  expect(second.nextPageToken).toBe('');
  expect(all.filter(({ endReason }) => endReason === 'END_REASON_EXPIRED')).toHaveLength(120);
  expect((await ask(admin.listUserSessions, { ...next, userId: boss.userId })).fields).toEqual(['page_token']);
  for (const method of [admin.listUserSessions, admin.getUserActivity]) {
    expect((await ask(method, { userId: randomUUID() })).reason).toBe('USER_NOT_FOUND');
    expect((await ask(method, { userId: 'x' })).fields).toEqual(['user_id']);
    expect((await call(method, { userId }, { bearer: accessToken })).reason).toBe('PERMISSION_DENIED');
  }
});

test('"was her mail sent?" has one answer: waiting, sent or failed, with the reply', async () => {
  const { userId, email } = await registered(call);
  expect(await mailsOf(userId)).toEqual([]);
  smtp.change({ answers: { RCPT: '451 4.3.0 later' } });
  await call(auth.requestReset, { email });
  const waiting = await mailIn(userId, 'STATE_WAITING');
  // An attempt counts when it begins, and has its error when the mail server has answered.
  await eventually(async () => (await mailsOf(userId))[0]?.error, 20_000);
  expect((await mailsOf(userId))[0]).toMatchObject({
    ...{ id: waiting.id, template: 'password-reset', error: expect.stringContaining('451 4.3.0'), attempts: 1 },
    nextAttemptAt: expect.any(String),
  });
  smtp.change({ answers: { RCPT: '550 5.1.1 no such user' } });
  await app.owner.query('UPDATE outbox SET next_attempt_at = now() WHERE id = $1', [waiting.id]);
  const failed = await mailIn(userId, 'STATE_FAILED');
  expect(failed).toMatchObject({ id: waiting.id, error: expect.stringContaining('550 5.1.1') });
  smtp.change({});
  await latchkey('outbox', 'retry', waiting.id);
  const sent = await mailIn(userId, 'STATE_SENT');
  expect(sent).toMatchObject({ id: waiting.id, messageId: expect.stringContaining(`<${waiting.id}@`) });
  expect(sent.response).toMatch(/^250/);
  expect(await mailsOf(userId)).toHaveLength(1);
  const shown = await json('users', 'show', userId);
  expect(shown.latest_mails).toMatchObject([{ state: 'sent', message_id: sent.messageId, smtp_answer: sent.response }]);
});

test('users search filters by prefix, role and state, and rejects a contradiction', async () => {
  const one = await registered(call);
  await ask(admin.disableUser, { userId: one.userId, reason });
  const prefix = one.email.slice(0, 20).toUpperCase();
  expect((await json('users', 'search', '--email', prefix)).map(({ id }: { id: string }) => id)).toEqual([one.userId]);
  expect(await json('users', 'search', '--email', prefix, '--enabled')).toEqual([]);
  expect((await json('users', 'search', '--role', 'admin')).map(({ id }: { id: string }) => id)).toContain(boss.userId);
  expect(await latchkey('users', 'search', '--disabled', '--enabled')).toMatchObject({ exit: 1 });
  expect((await latchkey('users', 'search', '--limit', '2')).output).toContain('the first 2; --limit shows more');
});

test('without Redis an account is shown, and its lock is unknown', async () => {
  const { MASTER_KEY = '' } = app.environment;
  const { email, userId } = await registered(call);
  const run = (environment: Record<string, string>, ...args: string[]) => latchkeyIn(environment, args);
  const unset = await run({}, 'users', 'show', email);
  expect(unset.exit).toBe(0);
  expect(unset.output).toMatch(/^lock_problem +unknown: invalid configuration: REDIS_URL is missing/m);
  const deaf = { MASTER_KEY, REDIS_URL: 'redis://127.0.0.1:9' };
  expect(JSON.parse((await run(deaf, 'users', 'show', userId, '--json')).output)).toMatchObject({
    id: userId,
    locked: null,
  });
  const unlock = await run(deaf, 'users', 'unlock', email, '--reason', reason);
  expect(unlock).toMatchObject({ exit: 1, output: expect.stringContaining('start Redis, or correct REDIS_URL') });
  expect(unlock.output).not.toMatch(/^\s+at /m);
});

test('limits show, top and reset work on accounts and networks', async () => {
  const attacker = '198.51.100.9';
  const { email, userId, password } = await lockedAt(attacker);
  const account = await json('limits', 'show', '--account', email);
  expect(account).toContainEqual(
    expect.objectContaining({ limit: 'LOGIN_PAIR', network: attacker, count: 4, maximum: 3, reached: true }),
  );
  const [pair] = account.filter(({ limit }: { limit: string }) => limit === 'LOGIN_PAIR');
  const top = await json('limits', 'top', '--limit', '5');
  expect(top).toContainEqual(
    expect.objectContaining({ limit: 'LOGIN_PAIR', subject: pair.subject, network: attacker }),
  );
  expect(
    (await json('limits', 'show', '--account', pair.subject)).map(({ limit }: { limit: string }) => limit),
  ).toContain('LOGIN_PAIR');
  const network = await json('limits', 'show', '--network', attacker);
  expect(network).toContainEqual(expect.objectContaining({ limit: 'LOGIN_NETWORK', subject: '198.51.100.0/24' }));
  const why = ['--reason', reason, '--as', 'Otto'];
  const withoutTime = (rows: { until: string }[]) => rows.map(({ until: _, ...row }) => row);
  expect(withoutTime(await json('limits', 'reset', '--network', attacker, ...why))).toEqual(withoutTime(network));
  expect(await json('limits', 'show', '--network', attacker)).toEqual([]);
  expect((await loginFrom(attacker, email, password)).reason).toBe('RATE_LIMITED');
  await latchkey('limits', 'reset', '--account', userId, ...why);
  expect((await loginFrom(attacker, email, password)).code).toBe('ok');
  const events = await eventually(async () => {
    const { rows } = await app.owner.query(
      "SELECT actor, detail, target, user_id FROM audit_events WHERE type = 'limits_reset' ORDER BY seq",
    );
    return rows.length === 2 ? rows : null;
  });
  expect(events).toEqual([
    { actor: 'operator:Otto', detail: reason, target: `network:${attacker}`, user_id: null },
    { actor: 'operator:Otto', detail: reason, target: null, user_id: userId },
  ]);
  expect((await latchkey('limits', 'reset', ...why)).output).toContain('either --account or --network');
  expect((await latchkey('limits', 'show', '--network', '1.2.3')).output).toContain('--network must be an IP address');
  expect((await latchkey('limits', 'show', '--account', 'a@@b')).output).toContain('email');
});

test('attempts at an address without an account are found and cleared', async () => {
  const email = `${randomUUID()}@people.example`;
  for (let n = 0; n < 4; n += 1) await loginFrom(HOME, email);
  expect(await json('limits', 'show', '--account', email)).toContainEqual(
    expect.objectContaining({ limit: 'LOGIN_PAIR', reached: true }),
  );
  await latchkey('limits', 'reset', '--account', email, '--reason', reason);
  expect(await json('limits', 'show', '--account', email)).toEqual([]);
});
