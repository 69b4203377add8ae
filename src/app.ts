// Constructs the service from top to bottom, and closes it in reverse order. The API and the worker are in src/app.

import { v7 } from 'uuid';
import { startApiPart } from './app/api-part.ts';
import { listenProblem } from './app/assert-ports-free.ts';
import { type Base, FORCED_CLOSE_MS } from './app/base.ts';
import { reportProcess } from './app/report-process.ts';
import { startWorkerPart, startWorkerProbes } from './app/worker-part.ts';
import { atMostEvery } from './async/rate-gate.ts';
import { waitAtMost } from './async/wait-at-most.ts';
import type { Config } from './config/config.ts';
import { createKeyRotation } from './keys/key-rotation.ts';
import { derivePurposeKeys } from './keys/purpose-keys.ts';
import { loadSigningKeys } from './keys/signing-keys.ts';
import type { Log } from './process/log.ts';
import { assertRedis } from './redis/assert-redis.ts';
import { LIMIT_COMMANDS, QUEUE_COMMANDS } from './redis/required-commands.ts';
import type { Handler } from './server/transport/handler.ts';
import { databaseOf } from './store/postgres/database.ts';
import { createDatabaseClock } from './store/postgres/database-clock.ts';
import { createPrimaryGuard } from './store/postgres/primary-guard.ts';
import { openPrimaryPool } from './store/postgres/primary-pool.ts';
import { createProcesses } from './store/postgres/processes.ts';
import { assertServiceRole } from './store/postgres/service-role.ts';
import { createStore } from './store/store.ts';
import { databaseErrorType } from './telemetry/database-error-type.ts';
import { startTelemetry } from './telemetry/telemetry.ts';
import { UNTRACED } from './telemetry/tracing.ts';
import { createRevocationView } from './verifier/revocation-view.ts';

export type Parts = { api: boolean; worker: boolean };

export type App = {
  port: number;
  /** 0 without LISTEN_ADMIN. */
  adminPort: number;
  metricsPort: number;
  /** 0 without HEALTH_PORT. */
  healthPort: number;
  /** Lets probes report the stop. Calls are still answered. */
  stopServing(): void;
  /** Waits at most the grace period for running calls and jobs. */
  close(): Promise<void>;
};

/** While Redis is unavailable, each attempt to connect is an error. */
const ERROR_LINE_EVERY_MS = 10_000;

export type AppOptions = {
  /** Replaces the clock of Postgres, for tests. */
  clock?: () => Date;
  /** Answers requests that no endpoint answers. */
  pages?: Handler;
};

export async function startApp(
  config: Config,
  parts: Parts,
  log: Log,
  { clock, pages = () => false }: AppOptions = {},
): Promise<App> {
  // If a step fails, this closes what the steps before it have started.
  await using started = new AsyncDisposableStack();
  const newId = () => v7();
  const graceMs = config.process.shutdownGraceMs;
  const processId = newId();

  const warnRarely = (about: string) => atMostEvery(ERROR_LINE_EVERY_MS, (err: unknown) => log.warn({ err }, about));

  const telemetry = await startTelemetry(config.telemetry, processId, warnRarely('telemetry')).catch((error) => {
    throw listenProblem({ key: 'METRICS_PORT', host: '', port: 0, ...config.telemetry.prometheus }, error);
  });
  started.defer(() => waitAtMost(FORCED_CLOSE_MS, telemetry.close()));
  const { metrics, tracing } = telemetry;
  const { traced } = tracing ?? UNTRACED;

  const databaseClock = createDatabaseClock();
  const now = clock ?? databaseClock.now;
  metrics.watchClock(databaseClock.aheadMs);
  const guard = createPrimaryGuard({
    onTakeOver: ({ timeline, lostWalBytes }) =>
      log.warn({ timeline, lost_wal_bytes: lostWalBytes }, 'another Postgres server is the primary now'),
    onClock: databaseClock.observe,
  });
  const connect = (name: string, poolSize: number) => {
    const onError = (err: Error) => log.warn({ err }, 'Postgres connection lost');
    const statementTimeoutMs = config.database.statementTimeoutMs;
    const onConnectFailure = (error: unknown, durationMs: number) =>
      metrics.databaseUsed('postgresql', durationMs, databaseErrorType(error));
    const onQuery = (sql: string, durationMs: number, error: unknown) => {
      metrics.databaseUsed('postgresql', durationMs, databaseErrorType(error));
      tracing?.query(sql, durationMs, error !== null);
    };
    const url = config.database.url;
    const pool = openPrimaryPool({ url, poolSize, statementTimeoutMs, guard, onConnectFailure }, onError);
    const database = databaseOf(pool, onQuery);
    started.defer(() => waitAtMost(FORCED_CLOSE_MS, database.destroy()));
    metrics.watchPool(name, pool.use);
    metrics.watchDependency('postgres', pool.isUp);
    return database;
  };
  const db = connect('calls', config.database.poolSize);
  await assertServiceRole(db);

  const store = createStore(db, newId, now);
  const purposeKeys = derivePurposeKeys(config.keys.masterKeys);
  const encryptionKeys = purposeKeys.signingKeyEncryption;
  const keyRotation = createKeyRotation({ store: store.signingKeys, encryptionKeys, now });
  const rotateKeys = () => keyRotation.advance(config.keys.policy);
  const view = createRevocationView();
  // The worker loads them too, because with another MASTER_KEY its tokens would be invalid.
  const signingKeys = await loadSigningKeys({
    store: store.signingKeys,
    createFirst: rotateKeys,
    encryptionKeys,
    areStale: () => view.ageMs() > config.verifier.maxViewAgeMs,
    onUndecryptable: warnRarely('a pending signing key cannot be decrypted with MASTER_KEY'),
  });

  const base: Base = {
    config,
    log,
    warnRarely,
    metrics,
    tracing,
    traced,
    connect,
    db,
    guard,
    clockAheadMs: databaseClock.aheadMs,
    store,
    purposeKeys,
    signingKeys,
    view,
    keyRotation,
    rotateKeys,
    graceMs,
    now,
    newId,
  };
  await assertRedis(config.redisUrl, [...(parts.api ? LIMIT_COMMANDS : []), ...(parts.worker ? QUEUE_COMMANDS : [])]);
  const report = { processes: createProcesses(db), id: processId, parts, clockAheadMs: base.clockAheadMs };
  const stopReporting = reportProcess(report, log);
  started.defer(() => waitAtMost(FORCED_CLOSE_MS, stopReporting()));
  const worker = parts.worker ? await startWorkerPart(base, started) : null;
  const api = parts.api ? await startApiPart(base, pages, started) : null;
  // In a process with both parts, the API answers the probes, on both ports.
  const probes = worker && !api ? await startWorkerProbes(base, worker, started) : null;
  const running = started.move();
  return {
    port: api?.port ?? 0,
    adminPort: api?.adminPort ?? 0,
    metricsPort: telemetry.port,
    healthPort: api?.healthPort ?? probes?.port ?? 0,
    stopServing() {
      api?.stopServing();
      probes?.stopServing();
    },
    close: () => running.disposeAsync(),
  };
}
