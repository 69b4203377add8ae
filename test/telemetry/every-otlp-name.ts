// `npm run test:otlp`: one service, whose metrics a real Prometheus 3 receives by scrape and by OTLP. Go builds
// Prometheus, because Debian's release has no receiver for OTLP.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import { onPath } from '../../src/dev/find-program.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { type OwnedProcess, startOwned, waitUntilReady } from '../../src/dev/owned-process.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { type RunningProcess, runMain } from '../support/processes.ts';

const VERSION = 'v0.316.0';
const BIN = join(PROGRAM_CACHE, `prometheus-${VERSION}`);
const SCRAPED = 'scraped';
const SENT = 'latchkey';
const BUILD_MS = 30 * 60_000;
const HAS_GO = onPath(['go'], processEnvironment().PATH ?? '') !== null;

const run = promisify(execFile);
let mailbox: Mailbox;
let prometheus: OwnedProcess;
let folder: string;
let url: string;
const services: RunningProcess[] = [];

async function build(): Promise<string> {
  const path = join(BIN, 'prometheus');
  if (existsSync(path)) return path;
  const env = { ...processEnvironment(), GOBIN: BIN, GOFLAGS: '-tags=remove_all_sd -p=2' };
  await run('go', ['install', `github.com/prometheus/prometheus/cmd/prometheus@${VERSION}`], { env } as object);
  return path;
}

beforeAll(async () => {
  if (!HAS_GO) return;
  const program = await build();
  folder = mkdtempSync(join(tmpdir(), 'latchkey-otlp-'));
  mailbox = await openTestMailbox();
  const [port, apiPage, workerPage] = [await freePort(), await freePort(), await freePort()];
  url = `http://127.0.0.1:${port}`;
  writeFileSync(
    join(folder, 'prometheus.yml'),
    `global: { scrape_interval: 1s, scrape_timeout: 900ms }
scrape_configs: [{ job_name: ${SCRAPED}, static_configs: [{ targets: ['127.0.0.1:${apiPage}', '127.0.0.1:${workerPage}'] }] }]
`,
  );
  const args = [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--web.enable-otlp-receiver',
  ];
  prometheus = startOwned(program, args, { stopSignal: 'SIGTERM', libraryPath: '' });
  await waitUntilReady(prometheus, 'Prometheus', async () => {
    if (!(await fetch(`${url}/-/ready`)).ok) throw new Error('not ready');
  });
  const environment = await testEnvironment(mailbox, {
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${url}/api/v1/otlp/v1/metrics`,
    OTEL_METRIC_EXPORT_INTERVAL: '1000',
    METRICS_HOST: '127.0.0.1',
    LIMIT_LOGIN_PAIR: '1/900',
    LATCHKEY_COMMIT: '0123456789ab',
  });
  services.push(
    runMain(['serve', '--workers', '2'], { ...environment, METRICS_PORT: String(apiPage) }),
    runMain(['worker'], { ...environment, METRICS_PORT: String(workerPage) }),
  );
  const at = await eventually(() => /"port":(\d+),"workers"/.exec(services[0]?.output() ?? '')?.[1], 60_000);
  const call = viaFetch(`http://127.0.0.1:${at}`);
  await eventually(async () => (await fetch(`http://127.0.0.1:${at}/readyz`)).ok, 60_000);
  const { email, accessToken } = await signedIn(call);
  await call(auth.verify, { accessToken });
  await call(auth.requestReset, { email });
  for (let n = 0; n < 3; n += 1) await call(auth.login, { email, password: 'a wrong pass phrase' });
}, BUILD_MS);
afterAll(async () => {
  for (const { child } of services) child.kill('SIGKILL');
  await prometheus?.stop();
  await mailbox?.close();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

async function api<T>(path: string, query: Record<string, string>): Promise<T> {
  const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(query)}`);
  const { status, error, data } = (await response.json()) as { status: string; error?: string; data: T };
  if (status !== 'success') throw new Error(error);
  return data;
}

/** Each name with its labels, without those that Prometheus adds to a scrape. */
async function seriesOf(job: string): Promise<string[]> {
  const all = await api<Record<string, string>[]>('series', { 'match[]': `{job="${job}"}` });
  const ours = all.filter(({ __name__: name = '' }) => !/^(up|scrape_.*|target_info)$/.test(name));
  const texts = ours.map(({ __name__: name, ...labels }) => {
    const known = Object.keys(labels).filter((label) => !/^(job|instance|worker|otel_scope_.*)$/.test(label));
    return `${name}{${known.sort().join(',')}}`;
  });
  return [...new Set(texts)].sort();
}

test.skipIf(!HAS_GO)('every name and label is the same by scrape and by OTLP', async () => {
  const isComplete = (names: string[]) =>
    [
      'latchkey_mail_duration_seconds',
      'latchkey_worker_up',
      'latchkey_outbox_entries',
      'v8js_gc_duration_seconds',
    ].every((name) => names.some((one) => one.startsWith(name)));
  await eventually(async () => isComplete(await seriesOf(SCRAPED)) && isComplete(await seriesOf(SENT)), 60_000);
  await eventually(async () => (await seriesOf(SENT)).join() === (await seriesOf(SCRAPED)).join(), 30_000).catch(
    () => {},
  );
  expect(await seriesOf(SENT)).toEqual(await seriesOf(SCRAPED));
});

test.skipIf(!HAS_GO)(
  'target_info has the release and the commit both ways, and OTLP an instance for each process',
  async () => {
    const infos = async (job: string) =>
      (await api<{ result: { metric: Record<string, string> }[] }>('query', { query: `target_info{job="${job}"}` }))
        .result;
    const [scraped, sent] = [await infos(SCRAPED), await infos(SENT)];
    for (const { metric } of [...scraped, ...sent]) {
      expect(metric).toMatchObject({ service_version: expect.any(String), vcs_ref_head_revision: '0123456789ab' });
    }
    // The page of the group and of the worker; by OTLP the supervisor, its two workers and the worker.
    expect(new Set(scraped.map(({ metric }) => metric.instance)).size).toBe(2);
    expect(new Set(sent.map(({ metric }) => metric.instance)).size).toBe(4);
  },
);

test.skipIf(!HAS_GO)(
  'every panel of the dashboard has data by OTLP where it has data by scrape',
  async () => {
    const { panels } = JSON.parse(readFileSync('deploy/grafana/latchkey.json', 'utf8')) as {
      panels: { targets?: { expr: string }[] }[];
    };
    const hasData = async (expr: string, job: string) => {
      const query = expr
        .replaceAll('$__rate_interval', '1m')
        .replaceAll('instance=~"$instance"', `job="${job}"`)
        .replace(/(latchkey_outbox_\w+|latchkey_jobs_total)(?!\{)/g, `$1{job="${job}"}`);
      return (await api<{ result: unknown[] }>('query', { query })).result.length > 0;
    };
    const missing: string[] = [];
    let found = 0;
    for (const { expr } of panels.flatMap(({ targets = [] }) => targets)) {
      if (!(await hasData(expr, SCRAPED))) continue;
      found += 1;
      await eventually(() => hasData(expr, SENT), 20_000).catch(() => missing.push(expr));
    }
    expect(missing).toEqual([]);
    expect(found).toBeGreaterThan(25);
  },
  120_000,
);
