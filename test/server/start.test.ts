// A start that cannot succeed ends with one sentence, and a signal ends every start at once.
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Environment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { layCable, through } from '../support/cable.ts';
import { eventually } from '../support/eventually.ts';
import { runMain } from '../support/processes.ts';

vi.setConfig({ testTimeout: 120_000 });

let mailbox: Mailbox;
let environment: Environment;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox);
});
afterAll(() => mailbox.close());

/** A port that another program listens on, until the end of the test. */
/** Without the lines of the log, which arrive through another pipe. */
function sentencesOf({ output }: { output(): string }): string {
  const lines = output().split('\n');
  return lines.filter((line) => !line.startsWith('{')).join('\n');
}

async function takenPort(): Promise<number> {
  const server: Server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

/** A Postgres that counts connections and answers none, until the end of the test. */
async function silentPostgres() {
  let connections = 0;
  const server: Server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => {});
    onTestFinished(() => void socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  return { url: `postgres://latchkey@127.0.0.1:${port}/latchkey`, connections: () => connections };
}

describe('a port that is in use', () => {
  test.each([
    ['serve', ['serve'], 'PORT'],
    ['serve', ['serve'], 'METRICS_PORT'],
    ['serve', ['serve'], 'LISTEN_ADMIN'],
    ['serve', ['serve'], 'HEALTH_PORT'],
    ['serve --workers', ['serve', '--workers', '2'], 'PORT'],
    ['serve --workers', ['serve', '--workers', '2'], 'METRICS_PORT'],
    ['serve --workers', ['serve', '--workers', '2'], 'LISTEN_ADMIN'],
    ['serve --workers', ['serve', '--workers', '2'], 'HEALTH_PORT'],
    ['worker', ['worker'], 'METRICS_PORT'],
    ['worker', ['worker'], 'HEALTH_PORT'],
  ])('ends %s (%s) before it connects to Postgres, by %s', async (_, args, key) => {
    const port = await takenPort();
    const postgres = await silentPostgres();
    const other = key === 'PORT' ? {} : { PORT: String(await freePort()) };
    const running = runMain(args, { ...environment, DATABASE_URL: postgres.url, ...other, [key]: String(port) });
    expect(await running.ended).toBe(1);
    expect(sentencesOf(running)).toBe(
      `port ${port} of 127.0.0.1 is in use: stop the program that listens there, or set ${key} to a free port\n`,
    );
    expect(postgres.connections()).toBe(0);
  });

  test('may be a port of the service itself', async () => {
    const port = String(await freePort());
    const running = runMain(['serve'], { ...environment, PORT: port, METRICS_PORT: port });
    expect(await running.ended).toBe(1);
    expect(sentencesOf(running)).toBe(`PORT and METRICS_PORT are both ${port}: change one of them\n`);
  });

  test('an address of another machine is reported', async () => {
    const running = runMain(['serve'], { ...environment, HOST: '192.0.2.1', PORT: '8080' });
    expect(await running.ended).toBe(1);
    expect(sentencesOf(running)).toBe(
      'this machine does not have the address 192.0.2.1, on which PORT 8080 should listen\n',
    );
  });
});

describe.each([
  ['serve', ['serve']],
  ['worker', ['worker']],
  ['serve --workers', ['serve', '--workers', '2']],
])('%s', (_, args) => {
  test('without Postgres ends with a sentence', async () => {
    const failed = runMain(args, { ...environment, DATABASE_URL: 'postgres://latchkey@127.0.0.1:1/latchkey' });
    expect(await failed.ended).toBe(1);
    expect(failed.output()).toContain('no server listens there: start the server, or correct the URL');
    expect(failed.output()).not.toMatch(/^ +at /m);
  });

  test('with a Postgres that hangs ends with a sentence', async () => {
    const postgres = await silentPostgres();
    const hanging = runMain(args, { ...environment, DATABASE_URL: postgres.url });
    expect(await hanging.ended).toBe(1);
    expect(hanging.output()).toContain('Postgres does not answer: start Postgres, or correct DATABASE_URL');
    expect(hanging.output()).not.toMatch(/^ +at /m);
  });

  test('is ended at once by a signal while it waits to connect to Postgres', async () => {
    const postgres = await silentPostgres();
    const starting = runMain(args, { ...environment, DATABASE_URL: postgres.url });
    await eventually(() => postgres.connections() >= 1, 30_000);
    starting.child.kill('SIGTERM');
    // The attempt to connect would end it with 1.
    expect(await starting.ended).toBe(0);
    expect(starting.output()).not.toMatch(/^ +at /m);
  });

  test('is ended at once by a signal while a statement of its start waits for a lock', async () => {
    const locked = await testEnvironment(mailbox);
    const owner = new pg.Client({ connectionString: locked.MIGRATION_DATABASE_URL });
    await owner.connect();
    onTestFinished(() => owner.end());
    await owner.query('BEGIN; LOCK TABLE signing_keys IN ACCESS EXCLUSIVE MODE');
    const starting = runMain(args, { ...locked, DATABASE_STATEMENT_TIMEOUT_MS: '60000' });
    const database = '(SELECT oid FROM pg_database WHERE datname = current_database())';
    const waiting = async () =>
      (await owner.query(`SELECT FROM pg_locks WHERE NOT granted AND database = ${database}`)).rows.length > 0;
    await eventually(waiting, 30_000);
    starting.child.kill('SIGTERM');
    const ended = await Promise.race([starting.ended, sleep(60_000, 'still running')]);
    expect(ended).toBe(0);
  });

  test('is ended by a signal at any time', async () => {
    for (const milliseconds of [0, 100, 300, 600]) {
      const starting = runMain(args, environment);
      await sleep(milliseconds);
      starting.child.kill('SIGTERM');
      // Before Node itself is ready, the signal ends the process without its help.
      expect([0, 'SIGTERM']).toContain(await Promise.race([starting.ended, sleep(60_000, 'still running')]));
      expect(starting.output()).not.toMatch(/^ +at /m);
    }
  });
});

test('a database without a schema is reported', async () => {
  const empty = new URL(environment.MIGRATION_DATABASE_URL as string);
  empty.pathname = '/postgres';
  const running = runMain(['worker'], { ...environment, DATABASE_URL: empty.href });
  expect(await running.ended).toBe(1);
  expect(running.output()).toContain('the database has no schema yet: run "node src/main.ts migrate" first');
});

test('without Redis the worker starts, and works once Redis is available', async () => {
  const cable = await layCable(Number(new URL(environment.REDIS_URL as string).port));
  onTestFinished(() => cable.close());
  cable.mode = 'cut';
  const healthPort = String(await freePort());
  const REDIS_URL = through(environment.REDIS_URL as string, cable.port);
  const worker = runMain(['worker'], { ...environment, REDIS_URL, HEALTH_PORT: healthPort });
  const readiness = async () => {
    const response = await fetch(`http://127.0.0.1:${healthPort}/readyz`).catch(() => null);
    return response && ((await response.json()) as { problems: string[] }).problems;
  };
  expect(await eventually(readiness, 30_000)).toEqual(['Redis does not answer']);
  expect(worker.output()).toContain('Redis (queues)');
  cable.mode = 'open';
  await eventually(async () => (await readiness())?.length === 0, 30_000);
  worker.child.kill('SIGTERM');
  expect(await worker.ended).toBe(0);
});
