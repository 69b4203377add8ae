// Records audit events by the batch: one job and one transaction for hundreds. An event that the trail cannot hold becomes a dead
// letter, and holds up no other. Does not decide when: the relay makes the jobs.
import type { Job } from 'bullmq';
import type { Logger } from 'pino';
import { type AuditTrail, UnrecordableEvent } from '../store/audit-trail.ts';
import type { Outbox } from '../store/outbox.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { AuditJob } from './queues.ts';
import { describe } from './smtp-answer.ts';

export type AuditRecorderDeps = {
  store: { auditTrail: Pick<AuditTrail, 'record'>; outbox: Pick<Outbox, 'noteFailure' | 'noteDelay'> };
  metrics: Pick<Metrics, 'jobEnded'>;
};

type Unrecordable = { id: string; error: UnrecordableEvent };

/** One transaction of this size holds the end of the chain for 40 to 100 ms. */
export const AUDIT_BATCH = 500;

/** @throws when none of them can be recorded now, for a cause outside them: the job is tried again */
export async function recordAuditEvents(
  { store, metrics }: AuditRecorderDeps,
  log: Logger,
  { data: { ids }, attemptsMade }: Pick<Job<AuditJob>, 'data' | 'attemptsMade'>,
): Promise<void> {
  let unrecordable: Unrecordable[];
  try {
    unrecordable = await recordAllBut(store.auditTrail, ids);
  } catch (error) {
    metrics.jobEnded('audit', 'failed', ids.length);
    log.warn({ events: ids.length, attempt: attemptsMade + 1, err: error }, 'recording failed, will be tried again');
    await store.outbox.noteDelay(ids, describe(error));
    // What is thrown is kept in Redis until the job ends; the outbox has the text.
    throw new Error('attempt failed');
  }
  for (const { id, error } of unrecordable) {
    await store.outbox.noteFailure(id, error.message, null);
    log.error({ outbox_id: id, topic: 'audit', err: error }, 'event cannot be recorded: dead letter');
  }
  metrics.jobEnded('audit', 'done', ids.length - unrecordable.length);
  metrics.jobEnded('audit', 'dead', unrecordable.length);
}

/** Halves a batch that fails until the events at fault stand alone. Returns these. */
async function recordAllBut(auditTrail: Pick<AuditTrail, 'record'>, ids: string[]): Promise<Unrecordable[]> {
  try {
    await auditTrail.record(ids);
    return [];
  } catch (error) {
    if (!(error instanceof UnrecordableEvent)) throw error;
    const [first] = ids;
    if (first !== undefined && ids.length === 1) return [{ id: first, error }];
    const middle = Math.ceil(ids.length / 2);
    const before = await recordAllBut(auditTrail, ids.slice(0, middle));
    return [...before, ...(await recordAllBut(auditTrail, ids.slice(middle)))];
  }
}
