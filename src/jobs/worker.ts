// Everything that happens later: the relay, the mails, the audit trail.
import { appendFile } from 'node:fs/promises';
import { type ConnectionOptions, type Job, Worker as QueueWorker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { atMostEvery } from '../at-most-every.ts';
import { isDatabaseOutage } from '../store/outage.ts';
import type { Topic } from '../store/outbox.ts';
import type { Store } from '../store/store.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import { within } from '../within.ts';
import { type HousekeepingDeps, startHousekeeping } from './housekeeping.ts';
import { createMailAttempts, type MailAttemptsDeps } from './mail-attempts.ts';
import { MAX_CONNECTIONS } from './mailer.ts';
import { type OutboxJob, QUEUE_PREFIX, type Queues } from './queues.ts';
import { startRelay } from './relay.ts';
import { describe } from './smtp-answer.ts';

export type WorkerDeps = MailAttemptsDeps &
  Pick<HousekeepingDeps, 'rotateKeys'> & {
    store: HousekeepingDeps['store'] & Pick<Store, 'auditTrail'>;
    /** How often the end of the audit trail's chain is written where the database cannot change it; 0 for never. */
    anchorEveryMs: number;
    /** Where, besides the log: lines are added to this file. Null for nowhere. */
    anchorFile: string | null;
    redis: Redis;
    queues: Queues;
    metrics: Pick<Metrics, 'jobEnded' | 'houseKept'>;
    tracing: Pick<Tracing, 'traced'>;
  };

export type Worker = {
  /** Lets jobs under way finish, for so long. The next worker does the rest. */
  close(graceMs: number): Promise<void>;
};

const AUDIT_CONCURRENCY = 16;
/** For an event that Postgres rejects, and does not merely fail to record now. */
const AUDIT_ATTEMPTS = 5;
const MAX_AUDIT_WAIT_MS = 60_000;
/** Past the grace, for the commands that end jobs in Redis. */
const END_JOBS_MS = 1_000;
const ERROR_LINE_EVERY_MS = 10_000;

/** @param onRedisError hears of a Redis that is away */
export async function startWorker(
  deps: WorkerDeps,
  log: Logger,
  onRedisError: (error: Error) => void,
): Promise<Worker> {
  const { auditTrail, outbox } = deps.store;
  const stopHousekeeping = await startHousekeeping(deps, log);
  const anchoring =
    deps.anchorEveryMs === 0
      ? undefined
      : setInterval(() => {
          anchor(deps, log).catch((err: unknown) => log.warn({ err }, 'anchoring the audit trail'));
        }, deps.anchorEveryMs);

  const consume = (topic: Topic, concurrency: number, carryOut: (job: OutboxJob) => Promise<void>) =>
    new QueueWorker(topic, ({ data }: Job<OutboxJob>) => carryOut(data), {
      connection: deps.redis as ConnectionOptions,
      prefix: QUEUE_PREFIX,
      concurrency,
    }).on('error', onRedisError);
  const mails = createMailAttempts(deps, log);
  const jobs = deps.tracing.traced('job', {
    mail: ({ outboxId }: OutboxJob) => mails.attempt(outboxId),
    audit: (job: OutboxJob) => attemptAudit(deps, log, job, auditTrail.record),
  });
  const consumers = [consume('mail', MAX_CONNECTIONS, jobs.mail), consume('audit', AUDIT_CONCURRENCY, jobs.audit)];
  const onRelayError = atMostEvery(ERROR_LINE_EVERY_MS, (err) => log.warn({ err }, 'outbox relay'));
  const relay = startRelay({ outbox, queues: deps.queues }, onRelayError);

  return {
    async close(graceMs) {
      stopHousekeeping();
      clearInterval(anchoring);
      const endsAt = performance.now() + graceMs;
      const finished = Promise.all([relay.close(), ...consumers.map((consumer) => consumer.close())]);
      await mails.close(graceMs);
      // It would wait for a Redis that is away for as long as it is.
      const leftMs = Math.max(endsAt - performance.now(), END_JOBS_MS);
      await within(deps.redis.status === 'ready' ? leftMs : 0, finished);
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

/** One attempt at an event. It is never given up because Postgres is unavailable. */
async function attemptAudit(
  { store, backoffMs, metrics }: WorkerDeps,
  log: Logger,
  { outboxId, attempts }: OutboxJob,
  record: (id: string) => Promise<void>,
): Promise<void> {
  try {
    await record(outboxId);
    metrics.jobEnded('audit', 'done');
  } catch (error) {
    const isDead = !isDatabaseOutage(error) && attempts + 1 >= AUDIT_ATTEMPTS;
    metrics.jobEnded('audit', isDead ? 'dead' : 'failed');
    const waitMs = Math.min(backoffMs * 2 ** attempts, MAX_AUDIT_WAIT_MS);
    const fields = { outbox_id: outboxId, topic: 'audit', attempt: attempts + 1, err: error };
    if (!isDead) log.warn(fields, 'audit event not recorded, will be tried again');
    else log.error(fields, 'audit event rejected by Postgres: dead letter');
    await store.outbox.noteFailure(outboxId, describe(error), isDead ? null : waitMs);
  }
}
