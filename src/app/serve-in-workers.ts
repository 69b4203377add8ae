import type { Worker } from 'node:cluster';
import { availableParallelism } from 'node:os';
import { v7 } from 'uuid';
import { atMostEvery } from '../async/rate-gate.ts';
import { type Config, processEnvironment, readConfig } from '../config/config.ts';
import { commitOf } from '../process/commit.ts';
import { createLogger, type Log } from '../process/log.ts';
import { logStart } from '../process/log-start.ts';
import { listenForStop } from '../process/stop-signal.ts';
import { superviseWorkers, type WorkerObserver, type WorkerPorts } from '../process/workers.ts';
import { createSharedPorts } from '../server/transport/shared-ports.ts';
import type { GroupTelemetry } from '../telemetry/group-telemetry.ts';
import { assertPortsFree, listenProblem, type PortSetting } from './assert-ports-free.ts';

/** Time for closing connections, in addition to the delay and the grace period of a stop. */
const CLOSING_MS = 10_000;
const PROBLEM_LINE_EVERY_MS = 10_000;
const UNOBSERVED: WorkerObserver = { started() {}, listening() {}, ended() {} };

export async function serveInWorkers(count: number): Promise<void> {
  const stop = listenForStop();
  const environment = processEnvironment();
  // Configuration errors are reported once, before any worker process starts.
  const config = readConfig(environment);
  const log = createLogger(config.process.logLevel);
  logStart(log, config.process.build);
  const hashesPerWorker = Math.max(1, Math.floor(availableParallelism() / count));
  const commit = commitOf(environment.LATCHKEY_COMMIT);
  await assertPortsFree(portsOf(config));
  const telemetry = await startTelemetry(config, log);
  await superviseWorkers(
    {
      count,
      environment: (slot) => ({
        HASH_CONCURRENCY: environment.HASH_CONCURRENCY || String(hashesPerWorker),
        ...(commit !== null && { LATCHKEY_COMMIT: commit }),
        ...ownInstanceId(environment.OTEL_RESOURCE_ATTRIBUTES, slot),
      }),
      killAfterMs: config.process.shutdownDelayMs + config.process.shutdownGraceMs + CLOSING_MS,
      ports: sharedPorts(log),
      observer: telemetry ?? UNOBSERVED,
    },
    log,
    stop,
  );
  await telemetry?.close();
}

/** Null when no metrics are read or sent: the SDK then stays unloaded. */
async function startTelemetry({ telemetry }: Config, log: Log): Promise<GroupTelemetry | null> {
  if (!telemetry.prometheus && !telemetry.otlpMetrics) return null;
  const { startGroupTelemetry } = await import('../telemetry/group-telemetry.ts');
  const onWorkerChange = (worker: Worker, slot: number, isUp: boolean) => {
    const fields = { worker: slot, pid: worker.process.pid };
    if (isUp) log.info(fields, 'a worker answers again');
    else log.error(fields, 'a worker does not answer: its metrics are missing');
  };
  const started = await startGroupTelemetry(telemetry, v7(), onWorkerChange).catch((error) => {
    throw listenProblem({ key: 'METRICS_PORT', host: '', port: 0, ...telemetry.prometheus }, error);
  });
  if (started.port !== 0) log.info({ metrics_port: started.port }, 'serving metrics');
  return started;
}

function sharedPorts(log: Log): WorkerPorts {
  const warn = atMostEvery(PROBLEM_LINE_EVERY_MS, (err: unknown) => log.warn({ err }, 'a connection was not accepted'));
  const ports = createSharedPorts(warn);
  return {
    add: (worker, onListening) =>
      ports.add(worker, (name, port) => {
        if (name === 'PORT') onListening(port);
      }),
    remove: ports.remove,
  };
}

/** The workers must differ where the operator has named the instance, for instance by its pod. */
function ownInstanceId(attributes: string | undefined, slot: number): Record<string, string> {
  const named = attributes?.replace(/(^|,)(\s*service\.instance\.id\s*=[^,]*)/, `$1$2.${slot}`);
  return named === undefined || named === attributes ? {} : { OTEL_RESOURCE_ATTRIBUTES: named };
}

function portsOf({ http: { host, port, listenAdmin, healthPort }, telemetry: { prometheus } }: Config): PortSetting[] {
  return [
    { key: 'PORT', host, port },
    ...(listenAdmin ? [{ key: 'LISTEN_ADMIN', ...listenAdmin }] : []),
    ...(prometheus ? [{ key: 'METRICS_PORT', ...prometheus }] : []),
    ...(healthPort !== null ? [{ key: 'HEALTH_PORT', host, port: healthPort }] : []),
  ];
}
