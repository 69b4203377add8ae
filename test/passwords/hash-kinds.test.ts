// The kinds of password hashes in use, as a fresh process reads them from Postgres.
import argon2 from 'argon2';
import bcrypt from 'bcrypt';
import { v7 } from 'uuid';
import { expect, onTestFinished, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { createUsers } from '../../src/store/users.ts';
import { startTestApp, testApp } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { newPerson, registered, signedIn } from '../support/people.ts';

const app = await testApp({ METRICS_PORT: '0', LIMIT_LOGIN_PAIR: '2/900' });
const { call } = app;

const unreadable = async () => sumOf(await scrape(app.metricsPort), 'latchkey_hash_unreadable_total') ?? Number.NaN;

const setHash = (userId: string, hash: string | null) =>
  app.owner.query('UPDATE users SET password_hash = $2 WHERE id = $1', [userId, hash]);

async function freshProcess(): Promise<{ app: App; call: Caller; logs: string[] }> {
  const logs: string[] = [];
  const log = createLogger('info', { write: (line) => void logs.push(line) });
  const environment = { ...app.environment, METRICS_PORT: undefined, LIMIT_LOGIN_PAIR: '1000/60' };
  const other = await startApp(readConfig(environment), { api: true, worker: false }, log);
  onTestFinished(() => other.close());
  return { app: other, call: viaFetch(`http://127.0.0.1:${other.port}`), logs };
}

async function failureMs(caller: Caller, email: string): Promise<number> {
  const startedAt = performance.now();
  expect((await caller(auth.login, { email, password: 'a wrong pass phrase' })).reason).toBe('CREDENTIALS_INVALID');
  return performance.now() - startedAt;
}

test('one hash of each kind is read, also among many thousands, by a few probes of an index', async () => {
  const db = openDatabase(
    { url: app.environment.DATABASE_URL as string, poolSize: 1, statementTimeoutMs: 5_000 },
    () => {},
  );
  onTestFinished(() => db.destroy());
  const users = createUsers(db, v7, () => new Date());
  const texts = [
    await argon2.hash('x', { memoryCost: 64, timeCost: 1, parallelism: 1 }),
    await argon2.hash('x', { memoryCost: 128, timeCost: 1, parallelism: 1 }),
    await bcrypt.hash('x', 4),
    await bcrypt.hash('x', 5),
    '$scrypt$ln=10,r=8,p=1$YWJjZGVmZ2g$MDEyMzQ1Njc4OWFiY2RlZg',
    '$pbkdf2-sha256$1000$YWJjZGVmZ2g$MDEyMzQ1Njc4OWFiY2RlZg',
    '$phpass-md5$ln=7$YWJjZGVmZ2g$0123456789012345678901',
    'garbage',
    '',
    '$'.repeat(9_000),
  ];
  for (const text of texts) {
    await app.owner.query(
      `INSERT INTO users (id, email, full_name, password_hash, created_at)
       SELECT gen_random_uuid(), gen_random_uuid() || '@people.example', '', $1, now() FROM generate_series(1, 1000)`,
      [text],
    );
  }
  await app.owner.query('ANALYZE users');
  const kinds = (await users.samplesOfHashKinds()).map((sample) =>
    texts.includes(sample) ? texts.indexOf(sample) : -1,
  );
  // The unreadable ones are of one kind.
  expect(kinds.filter((kind) => kind >= 0 && kind < 7).sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(kinds.length).toBeLessThanOrEqual(9);
  const read = async () => {
    await app.owner.query('SELECT pg_stat_force_next_flush()');
    const { rows } = await app.owner.query(
      "SELECT seq_tup_read::int AS n FROM pg_stat_user_tables WHERE relname = 'users'",
    );
    return rows[0].n as number;
  };
  const before = await read();
  await users.samplesOfHashKinds();
  expect((await read()) - before).toBeLessThan(1_000);
  await app.owner.query('DELETE FROM users WHERE full_name = $1', ['']);
});

test('after parameters were raised or lowered, the first failures of a fresh process take the time of the old hashes too', async () => {
  const person = await registered(call);
  // Some hundred times as costly as the configured parameters.
  await setHash(person.userId, await argon2.hash(person.password, { memoryCost: 65_536, timeCost: 3, parallelism: 1 }));
  // The minimum of several measurements: other programs use part of the machine.
  const looks: { unknown: number; known: number; quick: number }[] = [];
  for (let n = 0; n < 4; n += 1) {
    const { call: callFresh } = await freshProcess();
    const unknown = await failureMs(callFresh, newPerson().email);
    const known = await failureMs(callFresh, person.email);
    looks.push({ unknown, known, quick: await failureMs(callFresh, (await registered(callFresh)).email) });
  }
  const least = (which: 'unknown' | 'known' | 'quick') => Math.min(...looks.map((look) => look[which]));
  for (const other of [least('unknown'), least('quick')]) {
    expect(other / least('known')).toBeGreaterThan(0.4);
    expect(other / least('known')).toBeLessThan(2.5);
  }
  const { call: callFresh } = await freshProcess();
  await signedIn(callFresh, person);
});

test('a kind that is too costly for every failure is named in the log', async () => {
  const person = await registered(call);
  const costly = '$argon2id$v=19$m=262144,t=20,p=1$MDEyMzQ1Njc4OWFi$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY';
  await setHash(person.userId, costly);
  const { call: callFresh, logs } = await freshProcess();
  expect(logs.some((line) => line.includes('take longer') && line.includes('m=262144,t=20'))).toBe(true);
  const failures = [];
  for (let n = 0; n < 3; n += 1) failures.push(await failureMs(callFresh, newPerson().email));
  expect(Math.min(...failures)).toBeLessThan(1_500);
  await setHash(person.userId, null);
});

test.each([
  ['garbage', () => 'garbage'],
  ['an empty text', () => ''],
  ['a hash that was cut off', (hash: string) => hash.slice(0, -6)],
  ['a hash without its digest', (hash: string) => hash.split('$').slice(0, 5).join('$')],
  ['an unknown algorithm', (hash: string) => hash.replace('argon2id', 'argon9')],
  ['memory beyond every bound', (hash: string) => hash.replace('m=256', 'm=4294967295')],
  ['a bcrypt cost beyond every bound', () => '$2b$31$'.padEnd(60, 'a')],
  ['an empty hash of PBKDF2', () => '$pbkdf2-sha256$1000$$'],
  ['a hash of a megabyte', (hash: string) => hash + 'A'.repeat(1_000_000)],
])(
  'an account with an unreadable hash (%s) fails like any other, is counted, audited, logged and measured',
  async (_, spoil) => {
    const person = await signedIn(call);
    const before = await unreadable();
    const { rows } = await app.owner.query('SELECT password_hash FROM users WHERE id = $1', [person.userId]);
    await app.owner.query('UPDATE users SET password_hash = $2 WHERE id = $1', [
      person.userId,
      spoil(rows[0].password_hash),
    ]);

    const login = { email: person.email, password: person.password };
    const change = { currentPassword: person.password, newPassword: 'a newer pass phrase' };
    expect((await call(account.changePassword, change, { bearer: person.accessToken })).reason).toBe('PASSWORD_WRONG');
    expect(
      (await call(account.deleteMe, { currentPassword: person.password }, { bearer: person.accessToken })).reason,
    ).toBe('PASSWORD_WRONG');
    const [failed, unknown] = [
      await call(auth.login, login),
      await call(auth.login, { ...login, email: newPerson().email }),
    ];
    expect(failed).toEqual(unknown);
    expect(failed.reason).toBe('CREDENTIALS_INVALID');
    await call(auth.login, login);
    expect((await call(auth.login, login)).reason).toBe('RATE_LIMITED');

    const audited = await eventually(async () => {
      const found = await app.owner.query(
        "SELECT detail FROM audit_events WHERE type = 'login_failed' AND user_id = $1",
        [person.userId],
      );
      return found.rowCount === 2 ? found.rows : null;
    });
    expect(audited).toEqual([{ detail: 'password hash unreadable' }, { detail: 'password hash unreadable' }]);
    const lines = app.logs.filter((line) => line.includes(person.userId)).map((line) => JSON.parse(line));
    const alarms = lines.filter(({ msg }) => msg.includes('unreadable'));
    expect(alarms).toHaveLength(4);
    expect(alarms[0]).toMatchObject({ level: 'error', user_id: person.userId });
    expect(await unreadable()).toBe(before + 4);
  },
);

test('an account whose address must be verified first fails as slowly with the right password', async () => {
  const strict = await startTestApp({
    REQUIRE_EMAIL_VERIFICATION: 'on',
    ARGON2_MEMORY_KIB: '65536',
    ARGON2_ITERATIONS: '3',
  });
  onTestFinished(() => strict.close());
  const callStrict = viaFetch(strict.url);
  const person = newPerson();
  await callStrict(auth.register, person);
  await strict.owner.query('UPDATE users SET password_hash = $2 WHERE email = $1', [
    person.email,
    await argon2.hash(person.password, { memoryCost: 256, timeCost: 1, parallelism: 1 }),
  ]);
  const startedAt = performance.now();
  const right = await callStrict(auth.login, { email: person.email, password: person.password });
  const rightMs = performance.now() - startedAt;
  expect(right.reason).toBe('CREDENTIALS_INVALID');
  expect(rightMs).toBeGreaterThan(0.3 * (await failureMs(callStrict, newPerson().email)));
});
