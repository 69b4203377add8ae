// BullMQ on Redis carries ids of outbox rows, nothing else: what a job is about stays in Postgres.
import { type ConnectionOptions, type Job, Queue, Worker } from 'bullmq';
import { impatient, openRedis, patient, type RedisClient } from '../redis/open-redis.ts';
import type { OutboxRef, Topic } from '../store/outbox.ts';

/** As BullMQ carries it. */
export type OutboxJob = { outboxId: string; attempts: number };

export type Queues = {
  /** Adds one job for each attempt at a row. An attempt whose job is still there is not added again. */
  add(rows: OutboxRef[]): Promise<void>;
  close(): Promise<void>;
};

/** All keys begin with it. The braces put them into one slot of a cluster, which BullMQ's scripts need. */
const PREFIX = '{latchkey}:queue';
const COMMAND_TIMEOUT_MS = 2_500;
/** A blocking read ends after this long, so that a connection which stays silent for longer must be dead. */
const BLOCK_SECONDS = 2;
const SILENCE_MS = 5_000;
/** A job of a worker that has lost its connection is taken again after the lock and at most two checks. */
const LOCK_MS = 10_000;
const STALLED_CHECK_MS = 3_000;
/** Besides the checks at the start, BullMQ's own checks would need INFO, and end in a busy loop without it. */
const SKIP_CHECKS = { skipVersionCheck: true };

/** A connection for BullMQ's workers, which make more like it for their blocking reads. */
export function openQueueRedis(url: string, onError: (error: Error) => void): RedisClient {
  return openRedis(url, { connectionName: 'latchkey-queue', ...patient(SILENCE_MS) }, onError);
}

/** BullMQ blocks for up to ten seconds where a job waits for its next attempt. */
class PromptWorker extends Worker {
  override get maximumBlockTimeout(): number {
    return BLOCK_SECONDS;
  }
}

export type ConsumerOptions = {
  redis: RedisClient;
  topic: Topic;
  concurrency: number;
  carryOut: (job: OutboxJob) => Promise<void>;
  onError: (error: Error) => void;
};

/** Carries out the jobs of a topic until it is closed. */
export function openConsumer({ redis, topic, concurrency, carryOut, onError }: ConsumerOptions): Worker {
  return new PromptWorker(topic, ({ data }: Job<OutboxJob>) => carryOut(data), {
    connection: redis as ConnectionOptions,
    prefix: PREFIX,
    concurrency,
    drainDelay: BLOCK_SECONDS,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    // Connections may be lost several times during one job. A job that ends by this comes again from the outbox.
    maxStalledCount: 3,
    runRetryDelay: 1_000,
    ...SKIP_CHECKS,
  }).on('error', onError);
}

export function openQueues(url: string, onError: (error: Error) => void): Queues {
  // The relay receives an error from a Redis that does not answer, and puts the rows back.
  const options = { connectionName: 'latchkey-relay', ...impatient(COMMAND_TIMEOUT_MS) };
  const connection = openRedis(url, options, onError);
  const open = (topic: Topic) =>
    new Queue(topic, {
      connection: connection as ConnectionOptions,
      prefix: PREFIX,
      ...SKIP_CHECKS,
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
      // BullMQ would wait for the first connection without end.
      if (connection.status !== 'ready') throw new Error('Redis does not answer');
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
