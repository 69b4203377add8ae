import { waitAtMost } from '../async/wait-at-most.ts';
import { createMailer } from '../jobs/mailer.ts';
import { measureMailer } from '../jobs/measure-mailer.ts';
import { openQueueRedis, openQueues } from '../jobs/queues.ts';
import { startWorker } from '../jobs/worker.ts';
import { createProbesHandler } from '../server/endpoints/probes.ts';
import { createReadiness } from '../server/endpoints/readiness.ts';
import { createDatabaseCheck } from '../store/postgres/database-problems.ts';
import { UNTRACED } from '../telemetry/tracing.ts';
import { type Base, FORCED_CLOSE_MS, type Probed } from './base.ts';
import { startProbeServer } from './start-probe-server.ts';

const PROBE_TIMEOUT_MS = 1_000;
/**
 * A turn of the outbox relay takes at most this time, for three connections and two Redis commands, and three
 * statements.
 */
const LONGEST_WAITS_MS = 35_000;

export type RunningWorker = { lastTurnAt(): number; isRedisReady(): Promise<boolean> };

export async function startWorkerPart(base: Base, started: AsyncDisposableStack): Promise<RunningWorker> {
  const { config, log, warnRarely, metrics, tracing, traced, store, purposeKeys, rotateKeys, graceMs, now } = base;
  const onQueueError = warnRarely('Redis (queues)');
  const redis = openQueueRedis(config.redisUrl, onQueueError);
  started.defer(() => redis.disconnect());
  const queues = openQueues(config.redisUrl, onQueueError);
  started.defer(() => waitAtMost(FORCED_CLOSE_MS, queues.close()));
  metrics.watchDependency('redis', () => redis.status === 'ready');
  const mailer = measureMailer(createMailer(config.mail.mailer), metrics);
  started.defer(() => mailer.close());
  metrics.watchOutbox(() => store.outbox.backlog(now()));
  const worker = await startWorker(
    {
      store,
      redis,
      queues,
      mailer: traced('mailer', mailer),
      backoffMs: config.mail.backoffMs,
      mailRetryForMs: config.mail.retryForMs,
      metrics,
      tracing: tracing ?? UNTRACED,
      rotateKeys,
      resetTokenKeys: purposeKeys.resetTokens,
      verificationTokenKeys: purposeKeys.verificationTokens,
      networkTokenKeys: purposeKeys.networkTokens,
      undoTokenKeys: purposeKeys.undoTokens,
      publicUrl: config.mail.publicUrl,
      resetTtlSeconds: config.mail.resetTtlSeconds,
      verificationTtlSeconds: config.mail.verificationTtlSeconds,
      anchorEveryMs: config.audit.anchorEveryMs,
      anchorFile: config.audit.anchorFile,
      now,
    },
    log,
    onQueueError,
  );
  started.defer(() => worker.close(graceMs));
  return {
    lastTurnAt: worker.lastTurnAt,
    async isRedisReady() {
      let answers = false;
      const ping = async () => {
        answers = (await redis.ping()) === 'PONG';
      };
      const answer = redis.status === 'ready' ? ping().catch(() => {}) : Promise.resolve();
      await waitAtMost(PROBE_TIMEOUT_MS, answer);
      return answers;
    },
  };
}

/** Returns null without HEALTH_PORT. */
export async function startWorkerProbes(
  { config, db, signingKeys, clockAheadMs }: Base,
  worker: RunningWorker,
  started: AsyncDisposableStack,
): Promise<Probed | null> {
  const readiness = createReadiness({
    databaseProblems: createDatabaseCheck(db),
    keyProblem: signingKeys.problem,
    clockAheadMs,
    // Without Redis a worker is not ready, which isRedisReady reports.
    redisProblems: async () => [],
  });
  const probes = createProbesHandler({
    build: config.process.build,
    stuckBecause: stuckRelay(worker.lastTurnAt, LONGEST_WAITS_MS + 3 * config.database.statementTimeoutMs),
    async readiness() {
      const [{ problems }, redisAnswers] = await Promise.all([readiness.check(), worker.isRedisReady()]);
      const all = redisAnswers ? problems : [...problems, 'Redis does not answer'];
      return { ready: all.length === 0, problems: all, degraded: [] };
    },
  });
  const port = await startProbeServer(config.http, probes, started);
  started.defer(readiness.stop);
  return port === null ? null : { port, stopServing: readiness.stop };
}

/** @param lastTurnAt when the outbox relay last began a round (monotonic, milliseconds) */
export function stuckRelay(lastTurnAt: () => number, longestTurnMs: number): () => string | null {
  return () => {
    const silentMs = performance.now() - lastTurnAt();
    if (silentMs <= longestTurnMs) return null;
    return `the outbox relay has been in one round for ${Math.round(silentMs / 1000)} s`;
  };
}
