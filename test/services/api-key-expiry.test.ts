import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { admin, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedInWith } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

const DAY_MS = 86_400_000;
const reason = 'a test';

async function open(days?: string) {
  const app = await startTestApp(days === undefined ? {} : { API_KEY_MAX_DAYS: days });
  const call = viaFetch(app.url);
  const { accessToken } = await signedInWith(app, call, ['admin']);
  const ask: Caller = (method, input) => call(method, input, { bearer: accessToken });
  const { body } = await ask(admin.createServiceAccount, { name: 'robot', reason });
  const serviceAccountId: string = body.serviceAccountId;
  const create = (inDays?: number) => {
    const end = inDays === undefined ? {} : { expiresAt: new Date(Date.now() + inDays * DAY_MS).toISOString() };
    return ask(admin.createApiKey, { serviceAccountId, name: 'a key', reason, ...end });
  };
  return { app, call, ask, create, serviceAccountId };
}

const daysFromNow = (time: string) => (Date.parse(time) - Date.now()) / DAY_MS;

let opened: Awaited<ReturnType<typeof open>>;
let app: TestApp;
beforeAll(async () => {
  opened = await open();
  app = opened.app;
});
afterAll(() => app.close());

describe('an API key', () => {
  test('expires in a year unless its creator sets another time, and the response states when', async () => {
    const { create, ask, serviceAccountId } = opened;
    const { body } = await create();
    expect(daysFromNow(body.expiresAt)).toBeCloseTo(365, 2);
    const { apiKeys } = (await ask(admin.listApiKeys, { serviceAccountId })).body;
    expect(apiKeys.find(({ id }: { id: string }) => id === body.apiKeyId).expiresAt).toBe(body.expiresAt);
    expect(daysFromNow((await create(7)).body.expiresAt)).toBeCloseTo(7, 2);
  });

  test('is valid for at most 366 days', async () => {
    expect((await opened.create(365.9)).code).toBe('ok');
    expect(await opened.create(366.1)).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: ['expires_at'] });
    expect((await opened.create(-1)).fields).toEqual(['expires_at']);
  });

  test('is rejected once it has expired, with its tokens', async () => {
    const other = await open();
    onTestFinished(() => other.app.close());
    const { apiKey } = (await other.create(1)).body;
    const token = () => other.call(auth.issueServiceToken, {}, { bearer: apiKey });
    const { accessToken } = (await token()).body;
    other.app.advance(DAY_MS);
    await eventually(async () => (await token()).reason === 'TOKEN_INVALID', 1_000);
    expect((await other.call(auth.verify, { accessToken })).reason).toBe('TOKEN_EXPIRED');
  });

  test('is valid for at most API_KEY_MAX_DAYS, also by default', async () => {
    const short = await open('30');
    onTestFinished(() => short.app.close());
    expect(daysFromNow((await short.create()).body.expiresAt)).toBeCloseTo(30, 2);
    expect((await short.create(31)).fields).toEqual(['expires_at']);
    const long = await open('3660');
    onTestFinished(() => long.app.close());
    expect(daysFromNow((await long.create()).body.expiresAt)).toBeCloseTo(365, 2);
    expect(daysFromNow((await long.create(3_659)).body.expiresAt)).toBeCloseTo(3_659, 2);
  });

  test('has the same default and the same maximum at the command line', async () => {
    const latchkey = async (words: string[], environment = {}) => {
      const running = runMain(['services', ...words, '--json'], {
        DATABASE_URL: app.environment.DATABASE_URL,
        ...environment,
      });
      return { exit: await running.ended, output: running.output() };
    };
    const made = await latchkey(['create-key', 'robot', '--name', 'typed', '--reason', reason]);
    expect(daysFromNow(JSON.parse(made.output).expires_at)).toBeCloseTo(365, 2);
    const until = new Date(Date.now() + 20 * DAY_MS).toISOString();
    const rejected = await latchkey(['create-key', 'robot', '--name', 'typed', '--reason', reason, '--until', until], {
      API_KEY_MAX_DAYS: '10',
    });
    expect(rejected).toEqual({ exit: 1, output: 'expires_at must be at most 10 days from now\n' });
    expect(JSON.parse((await latchkey(['list'])).output)[0].key_expires_at).toEqual(
      (await app.owner.query('SELECT min(expires_at) FROM api_keys')).rows[0].min.toISOString(),
    );
  });

  test('requires an expiry', async () => {
    const insert = app.owner.query(
      `INSERT INTO api_keys (id, service_account_id, name, hash, created_at, created_by)
        SELECT gen_random_uuid(), id, 'endless', sha256('x'), now(), '' FROM service_accounts`,
    );
    await expect(insert).rejects.toThrow('not-null');
  });
});
