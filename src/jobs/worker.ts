// The folder jobs owns the work after a response: the outbox relay, queues, e-mails, audit events and housekeeping. It
// must not answer calls or decide about tokens. This file starts all of it in one worker process.
import type { Job } from 'bullmq';
import { atMostEvery } from '../async/rate-gate.ts';
import { waitAtMost } from '../async/wait-at-most.ts';
import type { Log } from '../process/log.ts';
import type { RedisClient } from '../redis/connect-redis.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/tracing.ts';
import { type AnchoringDeps, startAnchoring } from './anchor-audit-trail.ts';
import { recordAuditEvents } from './audit-recorder.ts';
import { type HousekeepingDeps, startHousekeeping } from './housekeeping.ts';
import { createMailAttempts, type MailAttemptsDeps } from './mail-attempts.ts';
import { MAX_CONNECTIONS } from './mailer.ts';
import { type AuditJob, type MailJob, openConsumer, type Queues } from './queues.ts';
import { startRelays } from './relay.ts';

export type WorkerDeps = MailAttemptsDeps &
  AnchoringDeps &
  Pick<HousekeepingDeps, 'rotateKeys'> & {
    store: HousekeepingDeps['store'];
    redis: RedisClient;
    queues: Queues;
    metrics: Pick<Metrics, 'jobEnded' | 'houseKept'>;
    tracing: Pick<Tracing, 'traced'>;
  };

export type Worker = {
  /** When the relay's last round began (monotonic, milliseconds). */
  lastTurnAt(): number;
  /** Waits this long for current jobs to finish. The next worker does the rest. */
  close(graceMs: number): Promise<void>;
};

/** A second batch would wait for the lock on the end of the chain and occupy a connection of the pool. */
const AUDIT_CONCURRENCY = 1;
/** Additional time after the grace period, for the commands that end jobs in Redis. */
const END_JOBS_MS = 1_000;
const ERROR_LINE_EVERY_MS = 10_000;

export async function startWorker(deps: WorkerDeps, log: Log, onRedisError: (error: Error) => void): Promise<Worker> {
  const stopHousekeeping = await startHousekeeping(deps, log);
  const stopAnchoring = startAnchoring(deps, log);
  const consumer = { redis: deps.redis, onError: onRedisError };
  const mails = createMailAttempts(deps, log);
  const jobs = deps.tracing.traced('job', {
    mail: ({ data }: Job<MailJob>) => mails.attempt(data.outboxId),
    audit: (job: Job<AuditJob>) => recordAuditEvents(deps, log, job),
  });
  const consumers = [
    openConsumer({ ...consumer, topic: 'mail', concurrency: MAX_CONNECTIONS, handle: jobs.mail }),
    openConsumer({ ...consumer, topic: 'audit', concurrency: AUDIT_CONCURRENCY, handle: jobs.audit }),
  ];
  const onRelayError = atMostEvery(ERROR_LINE_EVERY_MS, (err) => log.warn({ err }, 'outbox relay'));
  const relay = startRelays({ outbox: deps.store.outbox, queues: deps.queues }, onRelayError);

  return {
    lastTurnAt: relay.lastTurnAt,
    async close(graceMs) {
      stopHousekeeping();
      stopAnchoring();
      const endsAt = performance.now() + graceMs;
      const finished = Promise.all([relay, ...consumers].map((part) => part.close()));
      await mails.close(graceMs);
      // Without Redis the consumers would wait until it returns.
      const leftMs = Math.max(endsAt - performance.now(), END_JOBS_MS);
      await waitAtMost(deps.redis.status === 'ready' ? leftMs : 0, finished);
    },
  };
}
