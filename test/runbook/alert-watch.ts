// A real Prometheus with the alerts of deploy/. Their windows and delays are shortened to seconds.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/dev/free-port.ts';
import { startOwned, waitUntilReady } from '../../src/dev/owned-process.ts';
import { eventually } from '../support/eventually.ts';
import { findProgram } from '../support/program.ts';

export type AlertWatch = {
  untilFiring(alert: string): Promise<void>;
  untilSilent(alert: string): Promise<void>;
  close(): Promise<void>;
};

const WINDOW = '10s';
const TIMEOUT_MS = 60_000;

export async function watchAlerts(metricsPorts: number[]): Promise<AlertWatch> {
  const program = await findProgram('prometheus', 'usr/bin/prometheus');
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-alerts-'));
  const rules = readFileSync('deploy/prometheus/alerts.yml', 'utf8')
    .replaceAll(/\[\d+[smh]\]/g, `[${WINDOW}]`)
    .replaceAll(/for: \w+/g, 'for: 0s');
  writeFileSync(join(folder, 'alerts.yml'), rules);
  const targets = metricsPorts.map((port) => `'127.0.0.1:${port}'`).join(', ');
  writeFileSync(
    join(folder, 'prometheus.yml'),
    `global: { scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s }
rule_files: [alerts.yml]
scrape_configs: [{ job_name: latchkey, static_configs: [{ targets: [${targets}] }] }]
`,
  );
  const port = await freePort();
  const args = [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
  const prometheus = startOwned(program.path, args, { stopSignal: 'SIGTERM', libraryPath: program.libraryPath });
  const url = `http://127.0.0.1:${port}`;
  await waitUntilReady(prometheus, 'Prometheus', async () => {
    if (!(await fetch(`${url}/-/ready`)).ok) throw new Error('not ready');
  });
  const firing = async (alert: string) => {
    const query = encodeURIComponent(`ALERTS{alertname="${alert}", alertstate="firing"}`);
    const { data } = (await (await fetch(`${url}/api/v1/query?query=${query}`)).json()) as {
      data: { result: unknown[] };
    };
    return data.result.length > 0;
  };
  const until = async (alert: string, isMeant: boolean) => {
    await eventually(async () => (await firing(alert)) === isMeant, TIMEOUT_MS).catch(() => {
      throw new Error(`${alert} ${isMeant ? 'does not fire' : 'still fires'}`);
    });
  };
  return {
    untilFiring: (alert) => until(alert, true),
    untilSilent: (alert) => until(alert, false),
    async close() {
      await prometheus.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
