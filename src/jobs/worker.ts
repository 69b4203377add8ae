// Everything that happens later: the relay, the mails, the audit trail.
import { appendFile } from 'node:fs/promises';
import type { Job } from 'bullmq';
import type { Logger } from 'pino';
import { atMostEvery } from '../async/rate-gate.ts';
import { waitAtMost } from '../async/wait-at-most.ts';
import type { RedisClient } from '../redis/connect-redis.ts';
import type { Store } from '../store/store.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import { recordAuditEvents } from './audit-recorder.ts';
import { type HousekeepingDeps, startHousekeeping } from './housekeeping.ts';
import { createMailAttempts, type MailAttemptsDeps } from './mail-attempts.ts';
import { MAX_CONNECTIONS } from './mailer.ts';
import { type AuditJob, type MailJob, openConsumer, type Queues } from './queues.ts';
import { startRelays } from './relay.ts';

export type WorkerDeps = MailAttemptsDeps &
  Pick<HousekeepingDeps, 'rotateKeys'> & {
    store: HousekeepingDeps['store'] & Pick<Store, 'auditTrail'>;
    /** How often the end of the audit trail's chain is written where the database cannot change it; 0 for never. */
    anchorEveryMs: number;
    /** Where, besides the log: lines are added to this file. Null for nowhere. */
    anchorFile: string | null;
    redis: RedisClient;
    queues: Queues;
    metrics: Pick<Metrics, 'jobEnded' | 'houseKept'>;
    tracing: Pick<Tracing, 'traced'>;
  };

export type Worker = {
  /** When the relay's last round began (monotonic, milliseconds). */
  lastTurnAt(): number;
  /** Lets jobs under way finish, for so long. The next worker does the rest. */
  close(graceMs: number): Promise<void>;
};

/** A second batch would only wait for the end of the chain, and hold a connection of the pool meanwhile. */
const AUDIT_CONCURRENCY = 1;
/** Past the grace, for the commands that end jobs in Redis. */
const END_JOBS_MS = 1_000;
const ERROR_LINE_EVERY_MS = 10_000;

/** @param onRedisError hears of a Redis that is away */
export async function startWorker(
  deps: WorkerDeps,
  log: Logger,
  onRedisError: (error: Error) => void,
): Promise<Worker> {
  const stopHousekeeping = await startHousekeeping(deps, log);
  const anchoring =
    deps.anchorEveryMs === 0
      ? undefined
      : setInterval(() => {
          anchor(deps, log).catch((err: unknown) => log.warn({ err }, 'anchoring the audit trail'));
        }, deps.anchorEveryMs);

  const consumer = { redis: deps.redis, onError: onRedisError };
  const mails = createMailAttempts(deps, log);
  const jobs = deps.tracing.traced('job', {
    mail: ({ data }: Job<MailJob>) => mails.attempt(data.outboxId),
    audit: (job: Job<AuditJob>) => recordAuditEvents(deps, log, job),
  });
  const consumers = [
    openConsumer({ ...consumer, topic: 'mail', concurrency: MAX_CONNECTIONS, carryOut: jobs.mail }),
    openConsumer({ ...consumer, topic: 'audit', concurrency: AUDIT_CONCURRENCY, carryOut: jobs.audit }),
  ];
  const onRelayError = atMostEvery(ERROR_LINE_EVERY_MS, (err) => log.warn({ err }, 'outbox relay'));
  const relay = startRelays({ outbox: deps.store.outbox, queues: deps.queues }, onRelayError);

  return {
    lastTurnAt: relay.lastTurnAt,
    async close(graceMs) {
      stopHousekeeping();
      clearInterval(anchoring);
      const endsAt = performance.now() + graceMs;
      const finished = Promise.all([relay, ...consumers].map((part) => part.close()));
      await mails.close(graceMs);
      // It would wait for a Redis that is away for as long as it is.
      const leftMs = Math.max(endsAt - performance.now(), END_JOBS_MS);
      await waitAtMost(deps.redis.status === 'ready' ? leftMs : 0, finished);
    },
  };
}

/** What `audit verify --anchors` reads. */
async function anchor({ store, anchorFile }: Pick<WorkerDeps, 'store' | 'anchorFile'>, log: Logger): Promise<void> {
  const { seq, hash } = await store.auditTrail.anchor();
  log.info({ audit_seq: String(seq), audit_hash: hash }, 'audit anchor');
  if (anchorFile !== null)
    await appendFile(anchorFile, `${JSON.stringify({ audit_seq: String(seq), audit_hash: hash })}\n`);
}
