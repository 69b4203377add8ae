// One metrics page for all workers of `serve --workers`.
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Environment } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type Sample, scrape, sumOf } from '../support/metrics.ts';
import { type RunningProcess, runMain } from '../support/processes.ts';

const WORKERS = 3;
const CALLS = 'rpc_server_call_duration_seconds_count';

let mailbox: Mailbox;
let environment: Environment;
let server: RunningProcess;
let url: string;
let metricsPort: number;

beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox, {
    METRICS_PORT: '0',
    OTEL_RESOURCE_ATTRIBUTES: 'service.instance.id=pod-1,deployment.environment.name=test',
    LATCHKEY_COMMIT: '0123456789ab',
  });
  server = runMain(['serve', '--workers', String(WORKERS)], environment);
  const found = (pattern: RegExp) =>
    eventually(() => {
      if (server.child.exitCode !== null) throw new Error(server.output());
      return pattern.exec(server.output())?.[1];
    }, 60_000);
  url = `http://127.0.0.1:${await found(/"port":(\d+),"workers"/)}`;
  metricsPort = Number(await found(/"metrics_port":(\d+)/));
  await allUp();
}, 90_000);
afterAll(async () => {
  server?.child.kill('SIGKILL');
  await mailbox?.close();
});

const allUp = () => eventually(async () => sumOf(await scrape(metricsPort), 'latchkey_worker_up') === WORKERS, 60_000);

function workersOf({ child }: RunningProcess): number[] {
  const table = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(child.pid)], { encoding: 'utf8' });
  return table
    .split('\n')
    .filter((line) => line.includes('main.ts'))
    .map((line) => Number.parseInt(line, 10));
}

/** Each call has a connection of its own, and the workers receive connections in turn. */
async function verify(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    await viaFetch(url)(auth.verify, { accessToken: 'x' }, { headers: { connection: 'close' } });
  }
}

const labelsOf = (samples: Sample[], name: string, label: string) =>
  samples.filter((one) => one.name === name).map(({ labels }) => labels[label]);

test('counters are the sums of all workers, and some gauges have a label for the worker', async () => {
  await verify(12);
  const samples = await scrape(metricsPort);
  expect(sumOf(samples, CALLS)).toBe(12);
  expect(sumOf(samples, 'latchkey_call_rejections_total', { reason: 'TOKEN_INVALID' })).toBe(12);
  const numbers = ['0', '1', '2'];
  expect(labelsOf(samples, 'process_memory_usage_bytes', 'worker').sort()).toEqual(numbers);
  expect(labelsOf(samples, 'nodejs_eventloop_delay_p99_seconds', 'worker').sort()).toEqual(numbers);
  expect(labelsOf(samples, 'latchkey_revocation_view_age_seconds', 'worker')).toEqual([undefined]);
  expect(sumOf(samples, 'latchkey_dependency_up', { dependency: 'postgres' })).toBe(1);
  expect(sumOf(samples, 'db_client_connection_max', { db_client_connection_pool_name: 'changes' })).toBe(WORKERS);
});

test('the page has one target_info, with the release, the commit and the instance of the operator', async () => {
  const [info, ...more] = (await scrape(metricsPort)).filter(({ name }) => name === 'target_info');
  expect(more).toEqual([]);
  expect(info?.labels).toMatchObject({
    service_name: 'latchkey',
    service_version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    service_instance_id: 'pod-1',
    vcs_ref_head_revision: '0123456789ab',
  });
});

test('a worker that hangs is missing after a second, and its counters stay', async () => {
  const before = await scrape(metricsPort);
  const [pid] = workersOf(server) as [number];
  process.kill(pid, 'SIGSTOP');
  try {
    const startedAt = performance.now();
    const during = await scrape(metricsPort);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(sumOf(during, 'latchkey_worker_up')).toBe(WORKERS - 1);
    expect(labelsOf(during, 'process_memory_usage_bytes', 'worker')).toHaveLength(WORKERS - 1);
    expect(sumOf(during, CALLS)).toBe(sumOf(before, CALLS));
    await eventually(() => server.output().includes('a worker does not answer'));
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await allUp();
  expect(labelsOf(await scrape(metricsPort), 'process_memory_usage_bytes', 'worker')).toHaveLength(WORKERS);
});

test('a worker killed during a scrape costs neither the page nor the totals', async () => {
  const before = sumOf(await scrape(metricsPort), CALLS) as number;
  const [pid] = workersOf(server) as [number];
  process.kill(pid, 'SIGSTOP');
  const page = scrape(metricsPort);
  process.kill(pid, 'SIGKILL');
  expect(sumOf(await page, CALLS)).toBe(before);
  await eventually(async () => sumOf(await scrape(metricsPort), 'latchkey_worker_ends_total') === 1);
  await allUp();
  await verify(6);
  expect(sumOf(await scrape(metricsPort), CALLS)).toBe(before + 6);
}, 60_000);

test('scrapers that do not read delay neither another scraper nor the workers', async () => {
  const slow = Array.from({ length: 8 }, () => connect(metricsPort, '127.0.0.1'));
  for (const socket of slow) {
    socket.on('error', () => {});
    socket.pause();
    socket.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(100));
  }
  expect(sumOf(await scrape(metricsPort), 'latchkey_worker_up')).toBe(WORKERS);
  for (const socket of slow) socket.destroy();
});

test('a second process group on the same metrics port does not start, and says why', async () => {
  const second = runMain(['serve', '--workers', '2'], {
    ...environment,
    METRICS_PORT: String(metricsPort),
    METRICS_HOST: '127.0.0.1',
  });
  expect(await second.ended).toBe(1);
  expect(second.output()).toContain('set METRICS_PORT to a free port');
});

test('a stop ends the page with the workers', async () => {
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
  await expect(fetch(`http://127.0.0.1:${metricsPort}/metrics`)).rejects.toThrow();
});
