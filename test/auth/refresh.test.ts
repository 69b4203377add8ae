import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { startTestApp, type TestApp, testApp } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, registered, signedIn } from '../support/people.ts';

const app = await testApp();
const { call } = app;
const DAY_MS = 86_400_000;

const refresh = (refreshToken: string, requestId = '') => call(auth.refresh, { refreshToken, requestId });
const next = async (refreshToken: string, requestId = '') =>
  (await refresh(refreshToken, requestId)).body.tokens.refreshToken as string;

describe('rotation', () => {
  test('returns a new refresh token and a new access token of the same session', async () => {
    const person = await signedIn(call);
    const { body } = await refresh(person.refreshToken);
    expect(body.tokens.refreshToken).not.toBe(person.refreshToken);
    expect(body.tokens.accessToken).not.toBe(person.accessToken);
    expect(await isAccepted(call, body.tokens.accessToken)).toBe(true);
    expect(await isAccepted(call, person.accessToken)).toBe(true);
  });

  test('does not make the table grow', async () => {
    const person = await signedIn(call);
    let token = person.refreshToken;
    for (let n = 0; n < 20; n += 1) token = await next(token);
    const { rows } = await app.owner.query('SELECT counter FROM sessions WHERE user_id = $1', [person.userId]);
    expect(rows).toEqual([{ counter: '21' }]);
  });

  test('makes one successor in a hundred parallel calls with one token', async () => {
    const person = await signedIn(call);
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => refresh(person.refreshToken)));
    const successors = new Set(outcomes.map(({ body }) => body?.tokens.refreshToken));
    expect(outcomes.every(({ code }) => code === 'ok')).toBe(true);
    expect(successors.size).toBe(1);
    const { rows } = await app.owner.query('SELECT counter FROM sessions WHERE user_id = $1', [person.userId]);
    expect(rows[0].counter).toBe('2');
  });
});

describe('a lost response', () => {
  test('is repeated within 30 seconds, for any caller with the token', async () => {
    const person = await signedIn(call);
    const successor = await next(person.refreshToken, 'first');
    app.advance(25_000);
    expect(await next(person.refreshToken, 'second')).toBe(successor);
    expect(await next(person.refreshToken)).toBe(successor);
  });

  test('is repeated for the same request id while its successor is unused', async () => {
    const person = await signedIn(call);
    const successor = await next(person.refreshToken, 'lost');
    app.advance(3 * DAY_MS);
    expect(await next(person.refreshToken, 'lost')).toBe(successor);
    await next(successor);
    expect((await refresh(person.refreshToken, 'lost')).reason).toBe('REFRESH_TOKEN_REUSED');
  });
});

describe('reuse', () => {
  test.each([
    ['another request', 'other'],
    ['no request id', ''],
  ])('after the grace period, by %s, ends the session', async (_, requestId) => {
    const person = await signedIn(call);
    const successor = (await refresh(person.refreshToken, 'mine')).body.tokens;
    app.advance(31_000);
    expect(await refresh(person.refreshToken, requestId)).toMatchObject({
      code: 'unauthenticated',
      reason: 'REFRESH_TOKEN_REUSED',
    });
    // It was committed before the response: every token of the session is invalid now.
    expect((await refresh(successor.refreshToken)).reason).toBe('SESSION_ENDED');
    expect((await call(auth.verify, { accessToken: successor.accessToken })).reason).toBe('TOKEN_REVOKED');
    await eventually(async () => {
      const { rows } = await app.owner.query(
        "SELECT 1 FROM audit_events WHERE type = 'refresh_reuse_detected' AND user_id = $1",
        [person.userId],
      );
      return rows.length === 1;
    });
  });

  test('with a token two rotations old ends the session at once', async () => {
    const person = await signedIn(call);
    const third = await next(await next(person.refreshToken));
    expect((await refresh(person.refreshToken)).reason).toBe('REFRESH_TOKEN_REUSED');
    expect((await refresh(third)).reason).toBe('SESSION_ENDED');
  });

  test('ends no other session of the user', async () => {
    const person = await signedIn(call);
    const other = await signedIn(call, person);
    await next(await next(person.refreshToken));
    await refresh(person.refreshToken);
    expect(await isAccepted(call, other.accessToken)).toBe(true);
  });
});

describe('a user who refreshes too often', () => {
  let limited: TestApp;
  let caller: Caller;
  beforeAll(async () => {
    limited = await startTestApp({ LIMIT_REFRESH_USER: '4/3' });
    caller = viaFetch(limited.url);
  });
  afterAll(() => limited.close());

  test('is rejected before the rotation, and the same token works later', async () => {
    const person = await registered(caller);
    const [phone, laptop] = [await signedIn(caller, person), await signedIn(caller, person)];
    const another = await signedIn(caller);
    const counters = async () => {
      const { rows } = await limited.owner.query('SELECT counter FROM sessions WHERE user_id = $1', [person.userId]);
      return rows.map(({ counter }) => Number(counter)).toSorted();
    };
    const use = (refreshToken: string) => caller(auth.refresh, { refreshToken });
    let token = phone.refreshToken;
    for (let n = 0; n < 3; n += 1) token = (await use(token)).body.tokens.refreshToken;
    const second = (await use(laptop.refreshToken)).body.tokens.refreshToken;
    for (const rejected of [token, second, token]) {
      const outcome = await use(rejected);
      expect(outcome).toMatchObject({ code: 'resource_exhausted', reason: 'RATE_LIMITED' });
      expect(outcome.retryAfterSeconds).toBeLessThanOrEqual(3);
    }
    expect((await use(another.refreshToken)).code).toBe('ok');
    expect(await counters()).toEqual([2, 4]);
    // After the time in which a lost response is repeated.
    limited.advance(31_000);
    await new Promise((resolve) => setTimeout(resolve, 3_200));
    for (const kept of [token, second]) expect((await use(kept)).code).toBe('ok');
    expect(await counters()).toEqual([3, 5]);
  });

  test('uses up no attempt with a refresh that fails', async () => {
    const person = await signedIn(caller);
    const stolen = await signedIn(caller, person);
    await caller(auth.logout, { refreshToken: stolen.refreshToken });
    for (let n = 0; n < 10; n += 1) {
      expect((await caller(auth.refresh, { refreshToken: stolen.refreshToken })).reason).toBe('SESSION_ENDED');
    }
    expect((await caller(auth.refresh, { refreshToken: person.refreshToken })).code).toBe('ok');
  });

  test('is counted also by a process that receives the session for the first time', async () => {
    const person = await registered(caller);
    const sessions = [];
    for (let n = 0; n < 6; n += 1) sessions.push(await signedIn(caller, person));
    // A busy machine needs more than three seconds for these calls.
    const config = readConfig({ ...limited.environment, LIMIT_REFRESH_USER: '4/60' });
    const other = await startApp(config, { api: true, worker: false }, createLogger('info', { write: () => {} }));
    onTestFinished(() => other.close());
    const elsewhere = viaFetch(`http://127.0.0.1:${other.port}`);
    const first = sessions.slice(0, 4);
    for (const { refreshToken } of first) {
      expect((await elsewhere(auth.refresh, { refreshToken })).code).toBe('ok');
    }
    for (const { refreshToken } of first) {
      expect((await elsewhere(auth.refresh, { refreshToken })).reason).toBe('RATE_LIMITED');
    }
    expect((await caller(auth.refresh, { refreshToken: sessions[4]?.refreshToken ?? '' })).reason).toBe('RATE_LIMITED');
  });
});

describe('time', () => {
  test('an idle session ends after seven days', async () => {
    const person = await signedIn(call);
    app.advance(7 * DAY_MS + 1_000);
    expect((await refresh(person.refreshToken)).reason).toBe('SESSION_EXPIRED');
  });

  test('each use starts the seven days again', async () => {
    const person = await signedIn(call);
    app.advance(5 * DAY_MS);
    const used = await next(person.refreshToken);
    app.advance(6 * DAY_MS);
    const again = await next(used);
    app.advance(7 * DAY_MS + 1_000);
    expect((await refresh(again)).reason).toBe('SESSION_EXPIRED');
  });

  test('a session in use ends after ninety days, to the second', async () => {
    const person = await signedIn(call);
    let token = person.refreshToken;
    let tokens = { refreshExpiresAt: '', expiresAt: '', refreshToken: '', accessToken: '' };
    for (let day = 0; day < 90; day += 6) {
      tokens = (await refresh(token)).body.tokens;
      token = tokens.refreshToken;
      if (day < 84) app.advance(6 * DAY_MS);
    }
    const { rows } = await app.owner.query('SELECT ends_by FROM sessions WHERE user_id = $1', [person.userId]);
    expect(new Date(tokens.refreshExpiresAt)).toEqual(rows[0].ends_by);
    app.advance(6 * DAY_MS - 60_000);
    const last = (await refresh(token)).body.tokens;
    expect(new Date(last.expiresAt).getTime()).toBeLessThanOrEqual(rows[0].ends_by.getTime());
    app.advance(61_000);
    expect((await refresh(last.refreshToken)).reason).toBe('SESSION_EXPIRED');
    expect((await call(auth.verify, { accessToken: last.accessToken })).reason).toBe('TOKEN_EXPIRED');
  });
});

describe('other tokens', () => {
  test.each([
    ['empty', ''],
    ['nonsense', 'lkr_nonsense'],
    ['long', 'x'.repeat(50_000)],
  ])('%s is rejected', async (_, token) => {
    expect(await refresh(token)).toMatchObject({ code: 'unauthenticated', reason: 'REFRESH_TOKEN_INVALID' });
  });

  test('an access token and a modified token are rejected', async () => {
    const person = await signedIn(call);
    expect((await refresh(person.accessToken)).reason).toBe('REFRESH_TOKEN_INVALID');
    for (const changed of [`${person.refreshToken} `, person.refreshToken.slice(0, -1), `x${person.refreshToken}`]) {
      expect((await refresh(changed)).reason).toBe('REFRESH_TOKEN_INVALID');
    }
    expect((await refresh(person.refreshToken)).code).toBe('ok');
  });

  test('a disabled user cannot refresh', async () => {
    const person = await signedIn(call);
    await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [person.userId]);
    expect((await refresh(person.refreshToken)).reason).toBe('SESSION_ENDED');
  });

  test('a request id must be short and printable', async () => {
    const person = await signedIn(call);
    for (const requestId of ['x'.repeat(129), 'a\u0000b', 'a\nb', 'é']) {
      expect((await refresh(person.refreshToken, requestId)).fields).toEqual(['request_id']);
    }
  });

  test('the next refresh returns a token with new roles', async () => {
    const person = await signedIn(call);
    await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [person.userId]);
    const { accessToken } = (await refresh(person.refreshToken)).body.tokens;
    expect((await call(auth.verify, { accessToken })).body.principal.roles).toEqual(['admin', 'user']);
  });
});
