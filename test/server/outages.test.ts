// Postgres or Redis hangs, stops or returns: no token is accepted wrongly, every call ends, and the service recovers.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { startEmbeddedPostgres } from '../../src/dev/embedded-postgres.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { createLogger } from '../../src/process/log.ts';
import { prepareDatabase } from '../../src/store/postgres/prepare-database.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { type Cable, layCable, through } from '../support/cable.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { createTestRedis } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, signedIn } from '../support/people.ts';

let folder: string;
let postgres: Awaited<ReturnType<typeof startEmbeddedPostgres>>;
let postgresCable: Cable;
let redisCable: Cable;
let mailbox: Mailbox;
let app: App;
let call: Caller;
let ownerUrl: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-outage-'));
  postgres = await startEmbeddedPostgres(folder, { fsync: 'off' });
  const redisUrl = await createTestRedis();
  postgresCable = await layCable(Number(new URL(postgres.url).port));
  redisCable = await layCable(Number(new URL(redisUrl).port));
  const owner = new URL(postgres.url);
  owner.pathname = '/outage';
  ownerUrl = owner.href;
  const service = new URL(owner);
  service.username = 'outage_service';
  await prepareDatabase(owner.href, service.href);
  mailbox = await openTestMailbox();
  const environment = await testEnvironment(mailbox, {
    DATABASE_URL: through(service.href, postgresCable.port),
    REDIS_URL: through(redisUrl, redisCable.port),
    DATABASE_STATEMENT_TIMEOUT_MS: '500',
    REVOCATION_POLL_MS: '100',
    REVOCATION_MAX_AGE_MS: '400',
    SHUTDOWN_GRACE_SECONDS: '2',
  });
  app = await startApp(readConfig(environment), { api: true, worker: true }, createLogger('silent'));
  call = viaFetch(`http://127.0.0.1:${app.port}`);
});
afterAll(async () => {
  const stoppedAt = performance.now();
  await app.close();
  expect(performance.now() - stoppedAt).toBeLessThan(12_000);
  await Promise.all([mailbox.close(), postgresCable.close(), redisCable.close()]);
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

const readyStatus = async () => (await fetch(`http://127.0.0.1:${app.port}/readyz`)).status;

describe('Postgres', () => {
  test.each(['silent', 'cut'] as const)(
    '%s: every call is UNAVAILABLE, soon, and the service recovers',
    async (mode) => {
      const person = await signedIn(call);
      postgresCable.mode = mode;
      if (mode === 'cut') postgresCable.cutAll();
      const startedAt = performance.now();
      const outcomes = await Promise.all([
        call(auth.refresh, { refreshToken: person.refreshToken }),
        call(auth.login, { email: person.email, password: person.password }),
        call(auth.register, newPerson()),
        call(auth.requestReset, { email: person.email }),
      ]);
      for (const outcome of outcomes) {
        expect(outcome).toMatchObject({ code: 'unavailable', reason: 'DEPENDENCY_UNAVAILABLE', retryAfterSeconds: 1 });
      }
      expect(performance.now() - startedAt).toBeLessThan(9_000);
      // From memory while the revocation data is fresh, and after that never accepted.
      const verified = await eventually(async () => {
        const outcome = await call(auth.verify, { accessToken: person.accessToken });
        return outcome.code === 'ok' ? null : outcome;
      }, 2_000);
      expect(verified).toMatchObject({ code: 'unavailable', reason: 'DEPENDENCY_UNAVAILABLE' });
      await eventually(async () => (await readyStatus()) === 503);
      expect((await fetch(`http://127.0.0.1:${app.port}/healthz`)).status).toBe(200);

      // The last known keys, quickly, and not cacheable.
      const jwks = await fetch(`http://127.0.0.1:${app.port}/.well-known/jwks.json`, {
        signal: AbortSignal.timeout(3_000),
      });
      expect([jwks.status, jwks.headers.get('cache-control')]).toEqual([200, 'no-store']);

      postgresCable.mode = 'open';
      await eventually(async () => (await readyStatus()) === 200);
      await eventually(async () => (await call(auth.verify, { accessToken: person.accessToken })).code === 'ok');
      await registered(call);
    },
    60_000,
  );

  test('connections without answers are replaced by new ones', async () => {
    const person = await signedIn(call);
    // A failover without notice: old connections hang, new ones work.
    postgresCable.swallowAll();
    const startedAt = performance.now();
    await eventually(async () => (await call(auth.register, newPerson())).code === 'ok', 10_000);
    const verified = await call(auth.verify, { accessToken: person.accessToken });
    expect(verified.code).toBe('ok');
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  }, 60_000);

  test('connections that are terminated under load do not end the process', async () => {
    const killer = new pg.Client({ connectionString: ownerUrl });
    killer.on('error', () => {});
    await killer.connect();
    let stop = false;
    const codes = new Set<string>();
    const loops = Array.from({ length: 6 }, async () => {
      while (!stop) codes.add((await call(auth.register, newPerson())).code);
    });
    for (let round = 0; round < 15; round += 1) {
      await killer.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchkey'");
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    stop = true;
    await Promise.all(loops);
    // One event for each account, wherever a connection was cut.
    await eventually(async () => (await killer.query('SELECT FROM outbox')).rowCount === 0, 90_000);
    const { rows } = await killer.query(
      "SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM audit_events WHERE type = 'registered') AS events",
    );
    await killer.end();
    expect(rows[0].events).toBe(rows[0].users);
    expect([...codes].every((code) => code === 'ok' || code === 'unavailable')).toBe(true);
    await registered(call);
  }, 120_000);
});

describe('Redis', () => {
  test.each(['silent', 'cut'] as const)(
    '%s: calls go on under the stricter limits, and mail arrives late',
    async (mode) => {
      const person = await registered(call);
      redisCable.mode = mode;
      if (mode === 'cut') redisCable.cutAll();
      const startedAt = performance.now();
      expect((await call(auth.login, { email: person.email, password: person.password })).code).toBe('ok');
      expect((await call(auth.requestReset, { email: person.email })).code).toBe('ok');
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      expect(await readyStatus()).toBe(200);
      redisCable.mode = 'open';
      await eventually(() => mailbox.mails.find(({ to }) => to === person.email), 90_000);
    },
    120_000,
  );
});
