// The probes of a worker: alive while its loops run, ready while Postgres and Redis respond.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { stuckRelay } from '../../src/app/worker-part.ts';
import { type App, startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { startRelays } from '../../src/jobs/relay.ts';
import { createLogger } from '../../src/process/log.ts';
import { openProbeServer } from '../../src/server/endpoints/probe-server.ts';
import { createProbesHandler } from '../../src/server/endpoints/probes.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { createStore } from '../../src/store/store.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { type Cable, layCable, through } from '../support/cable.ts';
import { eventually } from '../support/eventually.ts';

const WORKER = { api: false, worker: true };

let mailbox: Mailbox;
let postgres: Cable;
let redis: Cable;
let databaseUrl: string;
let app: App;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  const environment = await testEnvironment(mailbox, { HEALTH_PORT: '0', DATABASE_STATEMENT_TIMEOUT_MS: '500' });
  postgres = await layCable(Number(new URL(environment.DATABASE_URL as string).port));
  redis = await layCable(Number(new URL(environment.REDIS_URL as string).port));
  databaseUrl = through(environment.DATABASE_URL as string, postgres.port);
  const cabled = {
    ...environment,
    DATABASE_URL: databaseUrl,
    REDIS_URL: through(environment.REDIS_URL as string, redis.port),
    SHUTDOWN_GRACE_SECONDS: '1',
  };
  app = await startApp(readConfig(cabled), WORKER, createLogger('silent'));
});
afterAll(async () => {
  for (const cable of [postgres, redis]) cable.mode = 'open';
  await app.close();
  await Promise.all([postgres.close(), redis.close(), mailbox.close()]);
});

async function probe(path: string, port = app.healthPort) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, body: await response.json() };
}

const BUILD = { version: expect.stringMatching(/^\d+\./), commit: expect.stringMatching(/./) };
const ALIVE = { status: 200, body: { status: 'ok', ...BUILD } };
const READY = { status: 200, body: { status: 'ready', problems: [], degraded: [] } };
const notReady = (...problems: string[]) => ({ status: 503, body: { status: 'not ready', problems, degraded: [] } });

test('a worker serves the probes for liveness and readiness only', async () => {
  expect(await probe('/healthz?verbose')).toEqual(ALIVE);
  expect(await eventually(async () => (await probe('/readyz')).status === 200)).toBe(true);
  expect(await probe('/readyz')).toEqual(READY);
  expect((await probe('/metrics')).status).toBe(404);
  const post = await fetch(`http://127.0.0.1:${app.healthPort}/readyz`, { method: 'POST' });
  expect(post.status).toBe(405);
});

test.each([
  ['Postgres', 'cut', () => postgres],
  ['Postgres', 'silent', () => postgres],
  ['Redis', 'cut', () => redis],
  ['Redis', 'silent', () => redis],
] as const)(
  'with %s %s it is alive, not ready, and ready again afterwards',
  async (name, mode, cableOf) => {
    const cable = cableOf();
    cable.mode = mode;
    if (mode === 'cut') cable.cutAll();
    await eventually(async () => (await probe('/readyz')).status === 503, 20_000);
    // Past every timeout of a round.
    for (let n = 0; n < 10; n += 1) {
      expect(await probe('/healthz')).toEqual(ALIVE);
      await sleep(200);
    }
    expect(await probe('/readyz')).toEqual(notReady(`${name} does not answer`));
    cable.mode = 'open';
    // Swallowed data is lost.
    cable.cutAll();
    await eventually(async () => (await probe('/readyz')).status === 200, 30_000);
  },
  90_000,
);

test('the relay continues while Postgres hangs', async () => {
  const cable = await layCable(Number(new URL(databaseUrl).port));
  const options = { url: through(databaseUrl, cable.port), poolSize: 1, statementTimeoutMs: 500 };
  const database = openDatabase(options, () => {});
  const { outbox } = createStore(
    database,
    () => '',
    () => new Date(),
  );
  const relay = startRelays({ outbox, queues: { add: async () => {} } }, () => {});
  const turns = async (count: number) => {
    for (let n = 0; n < count; n += 1) {
      const before = relay.lastTurnAt();
      await eventually(() => relay.lastTurnAt() > before, 30_000);
    }
  };
  await turns(2);
  cable.mode = 'silent';
  await turns(3);
  cable.mode = 'open';
  cable.cutAll();
  await relay.close();
  await database.destroy();
  await cable.close();
}, 120_000);

test('a relay that is stuck in a round is not alive', async () => {
  const stuck = Promise.withResolvers<never[]>();
  const outbox = { takeDue: () => stuck.promise, putBack: async () => {} };
  const relay = startRelays({ outbox, queues: { add: async () => {} } }, () => {});
  const handler = createProbesHandler({
    build: { version: '1.2.3', commit: 'unknown' },
    stuckBecause: stuckRelay(relay.lastTurnAt, 1_000),
    readiness: async () => ({ ready: true, problems: [], degraded: [] }),
  });
  const probes = await openProbeServer({ host: '127.0.0.1', port: 0 }, handler);
  onTestFinished(() => probes.close());
  expect(await probe('/healthz', probes.port)).toEqual(ALIVE);
  await eventually(async () => (await probe('/healthz', probes.port)).status === 503);
  const { body } = await probe('/healthz', probes.port);
  expect(body).toEqual({
    status: 'stuck',
    ...BUILD,
    problems: [expect.stringMatching(/^the outbox relay has been in one round for \d+ s$/)],
  });
  expect(await probe('/readyz', probes.port)).toEqual(READY);
  stuck.resolve([]);
  await eventually(async () => (await probe('/healthz', probes.port)).status === 200);
  await relay.close();
});

test('from the beginning of a stop a worker is not ready, but alive', async () => {
  const environment = await testEnvironment(mailbox, { HEALTH_PORT: '0' });
  const stopping = await startApp(readConfig(environment), WORKER, createLogger('silent'));
  stopping.stopServing();
  expect(await probe('/healthz', stopping.healthPort)).toEqual(ALIVE);
  expect((await probe('/readyz', stopping.healthPort)).body).toMatchObject({ problems: ['stopping'] });
  await stopping.close();
  await expect(probe('/healthz', stopping.healthPort)).rejects.toThrow();
});
