// BullMQ on Redis carries ids of outbox rows, nothing else: what a job is about stays in Postgres.
import { type ConnectionOptions, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { impatient, openRedis } from '../redis.ts';
import type { OutboxRef, Topic } from '../store/outbox.ts';

/** The data of a job in BullMQ. */
export type OutboxJob = { outboxId: string; attempts: number };

export type Queues = {
  /** Adds one job for each attempt at a row. An attempt whose job is still there is not added again. */
  add(rows: OutboxRef[]): Promise<void>;
  close(): Promise<void>;
};

/** All keys in Redis begin with it. */
export const QUEUE_PREFIX = 'latchkey:queue';
const COMMAND_TIMEOUT_MS = 5_000;

/** A connection for BullMQ's workers, whose blocking commands wait as long as they want. */
export function openQueueRedis(url: string, onError: (error: Error) => void): Redis {
  return openRedis(url, { connectionName: 'latchkey-queue', maxRetriesPerRequest: null }, onError);
}

export function openQueues(url: string, onError: (error: Error) => void): Queues {
  // The relay must hear of a Redis that is away, and puts the rows back.
  const options = { connectionName: 'latchkey-relay', ...impatient(COMMAND_TIMEOUT_MS) };
  const connection = openRedis(url, options, onError);
  const open = (topic: Topic) =>
    new Queue(topic, {
      connection: connection as ConnectionOptions,
      prefix: QUEUE_PREFIX,
      defaultJobOptions: {
        // The outbox row is the record, and has the schedule of further attempts.
        attempts: 1,
        removeOnComplete: true,
        removeOnFail: true,
      },
    }).on('error', onError);
  const queues: Record<Topic, Queue> = { audit: open('audit'), mail: open('mail') };

  return {
    async add(rows) {
      for (const [topic, queue] of Object.entries(queues)) {
        const jobs = rows.filter((row) => row.topic === topic);
        if (jobs.length > 0) await queue.addBulk(jobs.map(toJob));
      }
    },
    async close() {
      connection.disconnect();
      await Promise.all(Object.values(queues).map((queue) => queue.close()));
    },
  };
}

function toJob({ id, topic, attempts }: OutboxRef) {
  return { name: topic, data: { outboxId: id, attempts } satisfies OutboxJob, opts: { jobId: `${id}.${attempts}` } };
}
