// The programs that run until a signal stops them: the API, its worker processes, the worker, `npm start` and the preview of e-mails.
import cluster from 'node:cluster';
import { assertPortsFree, type PortSetting } from './app/assert-ports-free.ts';
import type { App, Parts } from './app.ts';
import type { Programs } from './cli/command.ts';
import { type Config, processEnvironment, readConfig } from './config/config.ts';
import { createLogger } from './process/log.ts';
import { logStart } from './process/log-start.ts';
import { OperatorError } from './process/operator-error.ts';
import { listenForStop, unlessStopped } from './process/stop-signal.ts';
import { parseWorkers } from './process/workers.ts';

const MAILS_PORT = 8026;

export const PROGRAMS: Programs = {
  async serve(workers) {
    if (workers === '' || !cluster.isPrimary) return runService({ api: true, worker: false });
    const { serveInWorkers } = await import('./app/serve-in-workers.ts');
    await serveInWorkers(parseWorkers(workers));
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
  logStart(log, config.process.build);
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
    ...(healthPort !== null ? [{ key: 'HEALTH_PORT', host, port: healthPort }] : []),
  ];
}
