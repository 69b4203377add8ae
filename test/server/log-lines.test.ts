// The line of a call names its caller, its account, the limit and the cause of a rejection. The key of a service appears
// by its fingerprint.
import { createHash, randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { account, admin, auth, verifierService } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { registered, signedIn, signedInWith } from '../support/people.ts';

const NEXT_KEY = `next-${randomUUID()}`;
const fingerprint = (key: string) => createHash('sha256').update(key).digest('hex').slice(0, 8);

const app = await testApp({
  SERVICE_KEYS: `gateway=${SERVICE_KEY},gateway=${NEXT_KEY}`,
  METRICS_PORT: '0',
  LIMIT_LOGIN_ACCOUNT: '2/900',
});
const { call } = app;
type CallOptions = NonNullable<Parameters<typeof call>[2]>;

/** The line of one call. */
async function lineOf(make: (options: CallOptions) => Promise<unknown>): Promise<Record<string, unknown>> {
  const id = randomUUID();
  await make({ headers: { 'x-request-id': id } });
  const isOfCall = (line: string) => line.includes(id) && line.includes('"msg":"call"');
  return JSON.parse(await eventually(() => app.logs.find(isOfCall)));
}

describe('the line of a call names', () => {
  test('the user and the session that a sign-in opened, and the wait for the hash', async () => {
    const person = await registered(call);
    const line = await lineOf((options) => call(auth.login, person, options));
    expect(line).toMatchObject({
      code: 'ok',
      user_id: person.userId,
      session_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(line.hash_wait_ms).toBeTypeOf('number');
    const { email, password, ...rest } = line;
    expect([email, password]).toEqual([undefined, undefined]);
    expect(JSON.stringify(rest)).not.toContain(person.email);
  });

  test('the account and the cause of a failed sign-in, and the limit of a later one', async () => {
    const { email, userId } = await registered(call);
    const wrong = { email, password: 'wrong one' };
    const failed = await lineOf((options) => call(auth.login, wrong, options));
    expect(failed).toMatchObject({ reason: 'CREDENTIALS_INVALID', reason_detail: 'wrong password', user_id: userId });
    await call(auth.login, wrong);
    const limited = await lineOf((options) => call(auth.login, wrong, options));
    expect(limited).toMatchObject({ reason: 'RATE_LIMITED', limit: 'LOGIN_ACCOUNT' });
    const stranger = await lineOf((o) => call(auth.login, { email: `${randomUUID()}@x.example`, password: 'x' }, o));
    expect(stranger).toMatchObject({ reason_detail: 'unknown account' });
    expect(stranger).not.toHaveProperty('user_id');
  });

  test('the session of a refresh, also of a reused token', async () => {
    const { userId, refreshToken, accessToken } = await signedIn(call);
    const { session_id: session } = await lineOf((options) =>
      call(account.getMe, {}, { ...options, bearer: accessToken }),
    );
    const refresh = (token: string) => lineOf((options) => call(auth.refresh, { refreshToken: token }, options));
    const first = await refresh(refreshToken);
    expect(first).toMatchObject({ code: 'ok', user_id: userId, session_id: session });
    await app.owner.query(
      "UPDATE sessions SET rotated_at = rotated_at - interval '1 hour', counter = 9 WHERE id = $1",
      [session],
    );
    expect(await refresh(refreshToken)).toMatchObject({
      reason: 'REFRESH_TOKEN_REUSED',
      user_id: userId,
      session_id: session,
    });
  });

  test('the owner of a rejected token, and why it is invalid', async () => {
    const { userId, accessToken, refreshToken } = await signedIn(call);
    await call(auth.logout, { refreshToken });
    const revoked = await lineOf((options) => call(account.getMe, {}, { ...options, bearer: accessToken }));
    expect(revoked).toMatchObject({ reason: 'TOKEN_REVOKED', user_id: userId });
    const verified = await lineOf((options) => call(auth.verify, { accessToken }, options));
    expect(verified).toMatchObject({ reason: 'TOKEN_REVOKED', user_id: userId, session_id: revoked.session_id });
    const causeOf = async (token: string) =>
      (await lineOf((options) => call(auth.verify, { accessToken: token }, options))).reason_detail;
    const [header, payload] = accessToken.split('.');
    expect(await causeOf('x')).toBe('malformed');
    expect(await causeOf(`${header}.${payload}.${'A'.repeat(86)}`)).toBe('wrong signature');
    const other = Buffer.from(JSON.stringify({ alg: 'ES256', kid: 'k'.repeat(43), typ: 'at+jwt' })).toString(
      'base64url',
    );
    expect(await causeOf(`${other}.${payload}.${'A'.repeat(86)}`)).toBe('unknown key');
  });

  test('why a token from an e-mail is invalid', async () => {
    const { email, userId } = await registered(call);
    await call(auth.requestReset, { email });
    const resetToken = await eventually(
      () => app.mailbox.mails.find(({ to }) => to === email)?.link?.split('#token=')[1],
    );
    const confirm = () =>
      lineOf((o) => call(auth.confirmReset, { resetToken, newPassword: 'a brand new pass phrase' }, o));
    await app.owner.query("UPDATE password_resets SET expires_at = now() - interval '1 day' WHERE user_id = $1", [
      userId,
    ]);
    expect(await confirm()).toMatchObject({ reason: 'RESET_TOKEN_INVALID', reason_detail: 'expired', user_id: userId });
    await app.owner.query('UPDATE password_resets SET used_at = now() WHERE user_id = $1', [userId]);
    expect(await confirm()).toMatchObject({ reason_detail: 'used', user_id: userId });
    await app.owner.query('DELETE FROM password_resets WHERE user_id = $1', [userId]);
    expect(await confirm()).toMatchObject({ reason_detail: 'unknown' });
  });

  test('the service and its key, and why an API key is rejected', async () => {
    for (const key of [SERVICE_KEY, NEXT_KEY]) {
      const line = await lineOf((options) =>
        call(verifierService.batchCheckRole, { checks: [] }, { ...options, bearer: key }),
      );
      expect(line).toMatchObject({ service: 'gateway', service_key: fingerprint(key) });
      const denied = await lineOf((options) => call(admin.listRoles, {}, { ...options, bearer: key }));
      const caller = { service: 'gateway', service_key: fingerprint(key) };
      expect(denied).toMatchObject({ reason: 'PERMISSION_DENIED', ...caller });
    }
    const boss = await signedInWith(app, call, ['admin']);
    const ask: typeof call = (method, input) => call(method, input, { bearer: boss.accessToken });
    const { serviceAccountId } = (await ask(admin.createServiceAccount, { name: 'robot', reason: 'a test' })).body;
    const { apiKey, apiKeyId } = (await ask(admin.createApiKey, { serviceAccountId, name: 'a key', reason: 'a test' }))
      .body;
    const exchange = () => lineOf((options) => call(auth.issueServiceToken, {}, { ...options, bearer: apiKey }));
    expect(await exchange()).toMatchObject({ code: 'ok', service: 'robot', service_key: apiKeyId });
    await app.owner.query("UPDATE api_keys SET expires_at = now() - interval '1 day' WHERE id = $1", [apiKeyId]);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await exchange()).toMatchObject({ reason_detail: 'expired', service: 'robot', service_key: apiKeyId });
    await ask(admin.revokeApiKey, { apiKeyId, reason: 'a test' });
    expect(await exchange()).toMatchObject({ reason_detail: 'revoked', service: 'robot', service_key: apiKeyId });
  });
});

test('a metric has the last use of each key of a service', async () => {
  const before = Math.floor(Date.now() / 1000) - 60;
  for (const bearer of [SERVICE_KEY, NEXT_KEY])
    await call(verifierService.batchVerify, { accessTokens: ['x'] }, { bearer });
  const samples = await scrape(app.metricsPort);
  for (const key of [SERVICE_KEY, NEXT_KEY]) {
    const labels = { service: 'gateway', key: fingerprint(key) };
    expect(sumOf(samples, 'latchkey_service_key_last_used_seconds', labels)).toBeGreaterThan(before);
  }
});

test('no line has a key, a token or an email', () => {
  const all = app.logs.join('');
  for (const secret of [SERVICE_KEY, NEXT_KEY, 'lka_', 'eyJ', ...app.mailbox.mails.map(({ to }) => to)])
    expect(all).not.toContain(secret);
});
