// BullMQ on Redis carries ids of outbox rows, nothing else: what a job is about stays in Postgres.
import { createHash } from 'node:crypto';
import { type ConnectionOptions, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { impatient, openRedis } from '../redis.ts';
import type { OutboxRef } from '../store/outbox.ts';

type Topic = OutboxRef['topic'];

export type RetryPolicy = {
  /** Attempts at one job before it is a dead letter. */
  maxAttempts: number;
  /** The wait before the second attempt, in milliseconds; it doubles with each one. */
  backoffMs: number;
};

/** Outbox rows that are recorded in one transaction. */
export type AuditBatch = { ids: string[] };

export type Queues = {
  /**
   * Adds one job a mail, with the row's id, and one job for all audit events. Rows whose job is still there are not added again.
   */
  add(rows: OutboxRef[]): Promise<void>;
  close(): Promise<void>;
};

/** All keys in Redis begin with it. */
export const QUEUE_PREFIX = 'latchkey:queue';
/** A quarter of a minute; afterwards the relay adds the rows again. */
const AUDIT_RETRY = { attempts: 5, backoff: { type: 'exponential', delay: 1_000 } };
const COMMAND_TIMEOUT_MS = 5_000;

/** A connection for BullMQ's workers, whose blocking commands wait as long as they want. */
export function openQueueRedis(url: string, onError: (error: Error) => void): Redis {
  return openRedis(url, { connectionName: 'latchkey-queue', maxRetriesPerRequest: null }, onError);
}

export function openQueues(url: string, retry: RetryPolicy, onError: (error: Error) => void): Queues {
  // The relay must hear of a Redis that is away, and puts the rows back.
  const options = { connectionName: 'latchkey-relay', ...impatient(COMMAND_TIMEOUT_MS) };
  const connection = openRedis(url, options, onError);
  const open = (topic: Topic) =>
    new Queue(topic, {
      connection: connection as ConnectionOptions,
      prefix: QUEUE_PREFIX,
      defaultJobOptions: {
        attempts: retry.maxAttempts,
        backoff: { type: 'exponential', delay: retry.backoffMs, jitter: 0.2 },
        // The outbox row is the record; a finished job must not stand in the way of the next one with its id.
        removeOnComplete: true,
        removeOnFail: true,
      },
    }).on('error', onError);
  const queues = { audit: open('audit') as Queue<AuditBatch>, mail: open('mail') };

  return {
    async add(rows) {
      const mails = rows.filter(({ topic }) => topic === 'mail');
      await queues.mail.addBulk(mails.map(({ id }) => ({ name: 'mail', data: {}, opts: { jobId: id } })));
      const events = rows.filter(({ topic }) => topic === 'audit').map(({ id }) => id);
      if (events.length === 0) return;
      await queues.audit.add('audit', { ids: events }, { ...AUDIT_RETRY, jobId: nameOf(events) });
    },
    async close() {
      connection.disconnect();
      await Promise.all(Object.values(queues).map((queue) => queue.close()));
    },
  };
}

/** The same for the same rows. */
function nameOf(ids: string[]): string {
  return createHash('sha256').update(ids.toSorted().join()).digest('hex');
}
