// BullMQ on Redis carries ids of outbox rows, nothing else: what a job is about stays in Postgres.
import { once } from 'node:events';
import { type ConnectionOptions, type Job, Queue, RedisConnection, Worker } from 'bullmq';
import { impatient, openRedis, patient, type RedisClient } from '../redis/open-redis.ts';
import type { OutboxRef } from '../store/outbox.ts';

type Topic = OutboxRef['topic'];

export type RetryPolicy = {
  /** Attempts at one job before it is a dead letter. */
  maxAttempts: number;
  /** The wait before the second attempt, in milliseconds; it doubles with each one. */
  backoffMs: number;
};

export type Queues = {
  /** Adds one job a row, with the row's id; a row whose job is still there is not added again. */
  add(rows: OutboxRef[]): Promise<void>;
  close(): Promise<void>;
};

/** All keys begin with it. The braces put them into one slot of a cluster, which BullMQ's scripts need. */
const PREFIX = '{latchkey}:queue';
const COMMAND_TIMEOUT_MS = 2_500;
/** A blocking read ends after this long, so that a connection which stays silent for longer must be dead. */
const BLOCK_SECONDS = 2;
/** A job of a worker that has lost its connection is taken again after the lock and at most two checks. */
const LOCK_MS = 10_000;
const STALLED_CHECK_MS = 3_000;
/** Besides the checks at the start, BullMQ's own checks would need INFO, and end in a busy loop without it. */
const SKIP_CHECKS = { skipVersionCheck: true };
// The version that BullMQ assumes then. With an older one it would round each wait up to whole seconds.
RedisConnection.minimumVersion = '6.2.0';

/** A connection for BullMQ's workers, which make more like it for their blocking reads. */
export function openQueueRedis(url: string, onError: (error: Error) => void): RedisClient {
  return openRedis(url, { connectionName: 'latchkey-queue', ...patient() }, onError);
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
  carryOut: (job: Job) => Promise<void>;
  onError: (error: Error) => void;
};

/** Carries out the jobs of a topic until it is closed. */
export function openConsumer({ redis, topic, concurrency, carryOut, onError }: ConsumerOptions): Worker {
  return new PromptWorker(topic, carryOut, {
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

export function openQueues(url: string, retry: RetryPolicy, onError: (error: Error) => void): Queues {
  // The relay receives an error from a Redis that does not answer, and puts the rows back.
  const options = { connectionName: 'latchkey-relay', ...impatient(COMMAND_TIMEOUT_MS) };
  const connection = openRedis(url, options, onError);
  const open = (topic: Topic) =>
    new Queue(topic, {
      connection: connection as ConnectionOptions,
      prefix: PREFIX,
      ...SKIP_CHECKS,
      defaultJobOptions: {
        attempts: retry.maxAttempts,
        backoff: { type: 'exponential', delay: retry.backoffMs, jitter: 0.2 },
        // The outbox row is the record; a finished job must not stand in the way of the next one with its id.
        removeOnComplete: true,
        removeOnFail: true,
      },
    }).on('error', onError);
  const queues: Record<Topic, Queue> = { audit: open('audit'), mail: open('mail') };

  return {
    async add(rows) {
      // BullMQ would wait for the first connection without end.
      if (connection.status !== 'ready') {
        await once(connection, 'ready', { signal: AbortSignal.timeout(COMMAND_TIMEOUT_MS) });
      }
      for (const [topic, queue] of Object.entries(queues)) {
        const jobs = rows.filter((row) => row.topic === topic);
        if (jobs.length > 0)
          await queue.addBulk(jobs.map(({ id }) => ({ name: topic, data: {}, opts: { jobId: id } })));
      }
    },
    async close() {
      connection.disconnect();
      await Promise.all(Object.values(queues).map((queue) => queue.close()));
    },
  };
}
