// `serve --workers`: several processes on one port.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import type { Environment } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, signedIn } from '../support/people.ts';
import { runMain } from '../support/processes.ts';
import { serveInWorkers, startsOf, workersOf } from '../support/workers.ts';

let mailbox: Mailbox;
let environment: Environment;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox, { SHUTDOWN_GRACE_SECONDS: '5' });
});
afterAll(() => mailbox.close());

const serveWith = (workers: string, overrides: Environment = {}) =>
  serveInWorkers(workers, { ...environment, ...overrides });

test('serves on one port, replaces a worker that has exited, and stops all workers', async () => {
  const server = await serveWith('2');
  const workers = workersOf(server);
  expect(workers).toHaveLength(2);
  const person = await signedIn(viaFetch(server.url));

  process.kill(workers[0] as number, 'SIGKILL');
  await eventually(() => workersOf(server).filter((pid) => !workers.includes(pid)).length === 1);
  await eventually(() => startsOf(server) === 3);
  expect(server.output()).toContain('a worker has ended');
  for (let n = 0; n < 20; n += 1) {
    const answer = await viaFetch(server.url)(auth.verify, { accessToken: person.accessToken });
    expect(answer.code).toBe('ok');
  }

  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
  await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
}, 60_000);

test('a worker that fails to start is retried, and a stop does not wait for it', async () => {
  const server = await serveWith('2');
  const pid = String(server.child.pid);
  const limitFiles = (count: string) => execFileSync('prlimit', ['--pid', pid, `--nofile=${count}:`]);
  const [worker] = workersOf(server);
  const soft = execFileSync('prlimit', ['--pid', pid, '--nofile', '--noheadings', '--output', 'SOFT']);
  limitFiles(String(readdirSync(`/proc/${pid}/fd`).length - 4));
  process.kill(worker as number, 'SIGKILL');
  await eventually(() => (server.output().match(/a worker has ended/g)?.length ?? 0) >= 2);
  limitFiles(String(soft).trim());
  await eventually(() => startsOf(server) === 3, 10_000);
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
}, 60_000);

test('a session revoked at one worker is revoked at all of them', async () => {
  const server = await serveWith('2');
  const person = await signedIn(viaFetch(server.url));
  // The workers receive connections in turn.
  const clients = Array.from({ length: 4 }, () =>
    createClient(AuthService, createGrpcTransport({ baseUrl: server.url })),
  );
  const good = () =>
    Promise.all(
      clients.map((client) =>
        client.verify({ accessToken: person.accessToken }).then(
          () => true,
          () => false,
        ),
      ),
    );
  expect(await good()).toEqual([true, true, true, true]);
  await viaFetch(server.url)(auth.logout, { refreshToken: person.refreshToken });
  await eventually(async () => !(await good()).includes(true), 1_000);
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
}, 60_000);

test('a stop lets calls in flight finish at every worker', async () => {
  const server = await serveWith('2', { ARGON2_MEMORY_KIB: '65536', HASH_CONCURRENCY: '1' });
  // Few enough for the grace period, also on a machine that is busy.
  const slow = Array.from({ length: 4 }, () => viaFetch(server.url)(auth.register, newPerson()));
  await sleep(300);
  server.child.kill('SIGTERM');
  expect((await Promise.all(slow)).every(({ code }) => code === 'ok')).toBe(true);
  expect(await server.ended).toBe(0);
}, 60_000);

test('a stop with a delay reaches every worker, and a second signal ends the delay of each', async () => {
  const server = await serveWith('2', { SHUTDOWN_DELAY_SECONDS: '300', SHUTDOWN_GRACE_SECONDS: '0' });
  server.child.kill('SIGTERM');
  await eventually(async () => {
    // The workers receive connections in turn.
    const probes = Array.from({ length: 4 }, () => fetch(`${server.url}/readyz`, { headers: { connection: 'close' } }));
    return (await Promise.all(probes)).every(({ status }) => status === 503);
  });
  await sleep(1_500);
  expect(workersOf(server)).toHaveLength(2);
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
}, 60_000);

test('a worker that cannot start is not retried without end', async () => {
  const server = runMain(['serve', '--workers', '2'], { ...environment, DATABASE_URL: 'postgres://x@127.0.0.1:1/x' });
  expect(await server.ended).toBe(1);
  const wrong = runMain(['serve', '--workers', 'many'], environment);
  expect(await wrong.ended).toBe(1);
  expect(wrong.output()).toContain('--workers must be');
});
