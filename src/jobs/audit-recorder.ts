// One transaction for hundreds of events. An event that the trail cannot store becomes a dead letter and delays no
// other.
import type { Job } from 'bullmq';
import type { Log } from '../process/log.ts';
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

/** A transaction of this size locks the end of the chain for 40 to 100 ms. */
export const AUDIT_BATCH = 500;

/** @throws when no event can be recorded now. The job is then retried */
export async function recordAuditEvents(
  { store, metrics }: AuditRecorderDeps,
  log: Log,
  { data: { ids }, attemptsMade }: Pick<Job<AuditJob>, 'data' | 'attemptsMade'>,
): Promise<void> {
  let unrecordable: Unrecordable[];
  try {
    unrecordable = await recordAllBut(store.auditTrail, ids);
  } catch (error) {
    metrics.jobEnded('audit', 'failed', ids.length);
    log.warn(
      { topic: 'audit', events: ids.length, attempt: attemptsMade + 1, err: error },
      'recording failed, will be tried again',
    );
    await store.outbox.noteDelay(ids, describe(error));
    // Redis keeps the message until the job ends. The outbox row has the full text.
    throw new Error('attempt failed');
  }
  for (const { id, error } of unrecordable) {
    await store.outbox.noteFailure(id, error.message, null);
    log.error({ outbox_id: id, topic: 'audit', err: error }, 'event cannot be recorded: dead letter');
  }
  metrics.jobEnded('audit', 'done', ids.length - unrecordable.length);
  metrics.jobEnded('audit', 'dead', unrecordable.length);
}

/** Halves a failing batch until each invalid event is alone. */
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
