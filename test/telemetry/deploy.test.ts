// The dashboard and the alerts of deploy/, loaded into the real Prometheus with the metrics of a real service.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Program } from '../../src/dev/find-program.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { type OwnedProcess, startOwned, waitUntilReady } from '../../src/dev/owned-process.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { findProgram } from '../support/program.ts';

type Panel = { type: string; title: string; targets?: { expr: string }[] };

const run = promisify(execFile);
const DASHBOARD = JSON.parse(readFileSync('deploy/grafana/latchkey.json', 'utf8')) as { panels: Panel[] };
/** A healthy service has none of these. */
const QUIET = ['Errors of the server', 'Attempts counted without Redis', 'Postgres, Redis and SMTP: errors'];
/** Only with `serve --workers`, and only with TLS. */
const OPTIONAL = ['Workers that answer', 'Time until the certificate expires'];

let app: TestApp;
let program: Program;
let prometheus: OwnedProcess;
let folder: string;
let url: string;

beforeAll(async () => {
  program = await findProgram('prometheus', 'usr/bin/prometheus');
  app = await startTestApp({ METRICS_PORT: '0', LIMIT_LOGIN_PAIR: '1/900' });
  folder = mkdtempSync(join(tmpdir(), 'latchkey-prometheus-'));
  const config = readFileSync('deploy/prometheus/prometheus.yml', 'utf8')
    .replace('localhost:9464', `127.0.0.1:${app.metricsPort}`)
    .replace('scrape_interval: 15s', 'scrape_interval: 500ms\n    scrape_timeout: 400ms')
    .replace('alerts.yml', resolve('deploy/prometheus/alerts.yml'));
  writeFileSync(join(folder, 'prometheus.yml'), config);
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const args = [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  prometheus = startOwned(program.path, args, { stopSignal: 'SIGTERM', libraryPath: program.libraryPath });
  await waitUntilReady(prometheus, 'Prometheus', async () => {
    if (!(await fetch(`${url}/-/ready`)).ok) throw new Error('not ready');
  });
}, 120_000);
afterAll(async () => {
  await prometheus?.stop();
  await app?.close();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

async function query(expr: string): Promise<unknown[]> {
  const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(expr)}`);
  const { status, error, data } = (await response.json()) as {
    status: string;
    error?: string;
    data: { result: unknown[] };
  };
  if (status !== 'success') throw new Error(`${expr}: ${error}`);
  return data.result;
}

test('every panel of the dashboard has data', async () => {
  const call = viaFetch(app.url);
  const work = async () => {
    const { email, accessToken } = await signedIn(call);
    await call(auth.verify, { accessToken });
    await call(auth.requestReset, { email });
    for (let n = 0; n < 3; n += 1) await call(auth.login, { email, password: 'a wrong pass phrase' });
  };
  const empty = new Set<string>();
  const lookAgain = async () => {
    await work();
    empty.clear();
    for (const { title, targets = [] } of DASHBOARD.panels) {
      for (const { expr } of targets) {
        const asked = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*');
        if ((await query(asked)).length === 0 && ![...QUIET, ...OPTIONAL].includes(title)) empty.add(asked);
      }
    }
    return empty.size === 0;
  };
  await eventually(lookAgain, 30_000).catch(() => expect([...empty]).toEqual([]));
}, 90_000);

test('the alerts are loaded, and none fires for a healthy service', async () => {
  const response = await fetch(`${url}/api/v1/rules`);
  const { data } = (await response.json()) as { data: { groups: { rules: { name: string; health: string }[] }[] } };
  const rules = data.groups.flatMap((group) => group.rules);
  expect(rules.length).toBe(readFileSync('deploy/prometheus/alerts.yml', 'utf8').split('- alert:').length - 1);
  expect(rules.filter(({ health }) => health === 'err')).toEqual([]);
  expect(await query('ALERTS{alertstate="firing"}')).toEqual([]);
});

test('each alert fires on its condition, and only then', async () => {
  const promtool = join(dirname(program.path), 'promtool');
  const { stdout } = await run(promtool, ['test', 'rules', 'deploy/prometheus/alerts.test.yml']);
  expect(stdout).toContain('SUCCESS');
});
