// Everything that happens later: the relay, the mails, the audit trail.
import { appendFile } from 'node:fs/promises';
import { type ConnectionOptions, type Job, Worker as QueueWorker, UnrecoverableError } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { atMostEvery } from '../at-most-every.ts';
import type { OutboxRef } from '../store/outbox.ts';
import type { Store } from '../store/store.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import { within } from '../within.ts';
import { type HousekeepingDeps, startHousekeeping } from './housekeeping.ts';
import { describe, UndeliverableMail } from './mailer.ts';
import { QUEUE_PREFIX, type Queues, type RetryPolicy } from './queues.ts';
import { startRelay } from './relay.ts';
import { type MailDeps, sendMail } from './send-mail.ts';

export type WorkerDeps = MailDeps &
  Pick<HousekeepingDeps, 'rotateKeys'> & {
    store: HousekeepingDeps['store'] & Pick<Store, 'auditTrail'>;
    /** How often the end of the audit trail's chain is written where the database cannot change it; 0 for never. */
    anchorEveryMs: number;
    /** Where, besides the log: lines are added to this file. Null for nowhere. */
    anchorFile: string | null;
    redis: Redis;
    queues: Queues;
    retry: RetryPolicy;
    metrics: Pick<Metrics, 'jobEnded' | 'houseKept'>;
    tracing: Pick<Tracing, 'traced'>;
  };

export type Worker = {
  /** When the relay's last round began (monotonic, milliseconds). */
  lastTurnAt(): number;
  /** Lets jobs under way finish, for so long; what is left is done by the next worker. */
  close(graceMs: number): Promise<void>;
};

const MAIL_CONCURRENCY = 4;
const AUDIT_CONCURRENCY = 16;
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

  const consume = (topic: OutboxRef['topic'], concurrency: number, carryOut: (id: string) => Promise<void>) =>
    new QueueWorker(topic, (job) => attempt(deps, log, topic, job, carryOut), {
      connection: deps.redis as ConnectionOptions,
      prefix: QUEUE_PREFIX,
      concurrency,
    }).on('error', onRedisError);
  const jobs = deps.tracing.traced('job', {
    mail: (id: string) => sendMail(deps, id),
    audit: (id: string) => auditTrail.record(id),
  });
  const consumers = [consume('mail', MAIL_CONCURRENCY, jobs.mail), consume('audit', AUDIT_CONCURRENCY, jobs.audit)];
  const onRelayError = atMostEvery(ERROR_LINE_EVERY_MS, (err) => log.warn({ err }, 'outbox relay'));
  const relay = startRelay({ outbox, queues: deps.queues, now: deps.now }, onRelayError);

  return {
    lastTurnAt: relay.lastTurnAt,
    async close(graceMs) {
      stopHousekeeping();
      clearInterval(anchoring);
      const finished = Promise.all([relay.close(), ...consumers.map((consumer) => consumer.close())]);
      // It would wait for a Redis that is away for as long as it is.
      await within(deps.redis.status === 'ready' ? graceMs : 0, finished);
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

/** One attempt at a job. What fails for good is marked in the outbox, where an operator finds it. */
async function attempt(
  { store, retry, metrics, now }: WorkerDeps,
  log: Logger,
  topic: OutboxRef['topic'],
  job: Job,
  carryOut: (id: string) => Promise<void>,
): Promise<void> {
  const id = job.id as string;
  const number = job.attemptsMade + 1;
  try {
    await carryOut(id);
    metrics.jobEnded(topic, 'done');
  } catch (error) {
    const isDead = error instanceof UndeliverableMail || number >= retry.maxAttempts;
    metrics.jobEnded(topic, isDead ? 'dead' : 'failed');
    await store.outbox.noteFailure(id, describe(error), isDead ? now() : null);
    const fields = { outbox_id: id, topic, attempt: number, err: error };
    if (!isDead) log.warn(fields, 'job failed, will be tried again');
    else log.error(fields, 'job failed for good: dead letter');
    // What is thrown is kept in Redis until the job ends; the outbox has the text.
    throw isDead ? new UnrecoverableError('dead letter') : new Error('attempt failed');
  }
}
