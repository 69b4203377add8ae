// The programs that run until a signal stops them: the API, its worker processes, the worker, `npm start` and the preview of e-mails.
import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import { assertPortsFree, type PortSetting } from './app/assert-ports-free.ts';
import type { App, Parts } from './app.ts';
import type { Programs } from './cli/command.ts';
import { type Config, processEnvironment, readConfig } from './config/config.ts';
import { createLogger, type Log } from './process/log.ts';
import { OperatorError } from './process/operator-error.ts';
import { listenForStop, unlessStopped } from './process/stop-signal.ts';
import { parseWorkers, superviseWorkers } from './process/workers.ts';

const MAX_PORT = 65_535;
const MAILS_PORT = 8026;
/** Time for closing connections, in addition to the delay and the grace period of a stop. */
const CLOSING_MS = 10_000;

export const PROGRAMS: Programs = {
  serve(workers) {
    if (workers !== '' && cluster.isPrimary) return serveInWorkers(parseWorkers(workers));
    return runService({ api: true, worker: false });
  },
  worker: () => runService({ api: false, worker: true }),

  async dev() {
    const stop = listenForStop();
    const { startDev } = await fromAClone(import('./dev/dev.ts'));
    const { stopAllOwned } = await import('./dev/owned-process.ts');
    const { readDevSettings } = await import('./dev/settings.ts');
    const dev = await unlessStopped(stop, startDev(readDevSettings(processEnvironment())));
    await stop.requested;
    console.log('  stopping ...');
    await (dev ? dev.close() : stopAllOwned());
  },

  async mails() {
    const { previewMails } = await fromAClone(import('./dev/preview-mails.ts'));
    const stop = listenForStop();
    const { url } = await previewMails(MAILS_PORT);
    console.log(`  Every e-mail: ${url}\n\n  Ctrl-C stops it.`);
    await stop.requested;
  },
};

/** The published package and the production image have neither src/dev nor the packages that it imports. */
async function fromAClone<T>(module: Promise<T>): Promise<T> {
  try {
    return await module;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new OperatorError('this command runs from a clone of the repository, after npm install', { cause });
  }
}

async function runService(parts: Parts): Promise<void> {
  const stop = listenForStop();
  // A late import: commands for operators start without loading the service.
  const { startApp } = await import('./app.ts');
  const config = readConfig(processEnvironment());
  const log = createLogger(config.process.logLevel);
  logStart(log, config);
  if (cluster.isPrimary) await assertPortsFree(portsOf(config, parts));
  const app: App | null = await unlessStopped(stop, startApp(config, parts, log));
  if (!app) return log.info({ signal: await stop.requested }, 'stopped before the start was complete');
  const { port, adminPort, metricsPort, healthPort } = app;
  const ports = {
    ...(port && { port }),
    ...(adminPort && { admin_port: adminPort }),
    ...(metricsPort && { metrics_port: metricsPort }),
    ...(healthPort && { health_port: healthPort }),
  };
  log.info(ports, 'started');
  log.info({ signal: await stop.requested }, 'stopping');
  app.stopServing();
  // The delay is for load balancers, which do not watch a worker.
  if (parts.api) await stop.delay(config.process.shutdownDelayMs);
  await app.close();
  log.info('stopped');
}

/** The ports that one process of this configuration listens on. */
function portsOf(
  { http: { host, port, listenAdmin, healthPort }, telemetry: { prometheus } }: Config,
  { api }: Parts,
): PortSetting[] {
  return [
    ...(api ? [{ key: 'PORT', host, port }] : []),
    ...(api && listenAdmin ? [{ key: 'LISTEN_ADMIN', ...listenAdmin }] : []),
    ...(prometheus ? [{ key: 'METRICS_PORT', ...prometheus }] : []),
    ...(!api && healthPort !== null ? [{ key: 'HEALTH_PORT', host, port: healthPort }] : []),
  ];
}

/** The first line of the log. */
function logStart(log: Log, { process: { build } }: Config): void {
  const fields = { service_version: build.version, commit: build.commit, node_version: process.versions.node };
  log.info(fields, 'Latchkey starts');
}

async function serveInWorkers(count: number): Promise<void> {
  const stop = listenForStop();
  const environment = processEnvironment();
  // Configuration errors are reported once, before any worker process starts.
  const config = readConfig(environment);
  const hashesPerWorker = Math.max(1, Math.floor(availableParallelism() / count));
  const firstMetricsPort = config.telemetry.prometheus?.port;
  await assertPortsFree(portsOfWorkers(config, count));
  const log = createLogger(config.process.logLevel);
  logStart(log, config);
  await superviseWorkers(
    {
      count,
      environment: (place) => ({
        HASH_CONCURRENCY: environment.HASH_CONCURRENCY || String(hashesPerWorker),
        ...(firstMetricsPort && { METRICS_PORT: String(firstMetricsPort + place) }),
      }),
      killAfterMs: config.process.shutdownDelayMs + config.process.shutdownGraceMs + CLOSING_MS,
    },
    log,
    stop,
  );
}

/** One port for all API processes, and one port for the metrics of each. */
function portsOfWorkers(
  { http: { host, port, listenAdmin }, telemetry: { prometheus } }: Config,
  count: number,
): PortSetting[] {
  const first = prometheus?.port;
  const last = first ? first + count - 1 : 0;
  if (last > MAX_PORT || (first && port >= first && port <= last)) {
    throw new OperatorError(`METRICS_PORT must be the first of ${count} free ports, one for each worker process`);
  }
  const pages = prometheus && first ? Array.from({ length: count }, (_, place) => first + place) : [];
  return [
    { key: 'PORT', host, port },
    ...(listenAdmin ? [{ key: 'LISTEN_ADMIN', ...listenAdmin }] : []),
    ...pages.map((page) => ({ key: 'METRICS_PORT', host: prometheus?.host ?? host, port: page })),
  ];
}
