// BullMQ on Redis carries ids of outbox rows only. The content of a job stays in Postgres.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type ConnectionOptions, type Job, Queue, RedisConnection, Worker } from 'bullmq';
import { connectRedis, failFast, type RedisClient, retryForever } from '../redis/connect-redis.ts';
import type { OutboxRef, Topic } from '../store/outbox.ts';

export type MailJob = { outboxId: string };
export type AuditJob = { ids: string[] };

export type Queues = {
  /** A job that still exists is not added again. Audit events share one job. */
  add(rows: OutboxRef[]): Promise<void>;
  close(): Promise<void>;
};

/** The braces put all keys into one slot of a cluster, which BullMQ's scripts require. */
const PREFIX = '{latchkey}:queue';
const COMMAND_TIMEOUT_MS = 2_500;
/** A blocking read ends after this time, so that a connection that stays silent for longer is broken. */
const BLOCK_SECONDS = 2;
/** The job of a worker that has lost its connection is taken again after the lock and at most two checks. */
const LOCK_MS = 10_000;
const STALLED_CHECK_MS = 3_000;
/** BullMQ's own checks need the command INFO and otherwise end in a busy loop. The checks at the start replace them. */
const SKIP_CHECKS = { skipVersionCheck: true };
/** For an unavailable Postgres. After the last attempt the relay adds the rows again. */
const RETRY = { attempts: 30, backoff: { type: 'fixed', delay: 2_000 } };
// BullMQ assumes this version without INFO. With an older one it would round each wait up to whole seconds.
RedisConnection.minimumVersion = '6.2.0';

export function openQueueRedis(url: string, onError: (error: Error) => void): RedisClient {
  return connectRedis(url, { connectionName: 'latchkey-queue', ...retryForever() }, onError);
}

/** By default BullMQ blocks for up to ten seconds while a job waits for its next attempt. */
class PromptWorker extends Worker {
  override get maximumBlockTimeout(): number {
    return BLOCK_SECONDS;
  }
}

type ConsumerOptions<Data> = {
  redis: RedisClient;
  topic: Topic;
  concurrency: number;
  handle: (job: Job<Data>) => Promise<void>;
  onError: (error: Error) => void;
};

export function openConsumer<Data>({ redis, topic, concurrency, handle, onError }: ConsumerOptions<Data>): Worker {
  return new PromptWorker(topic, handle, {
    connection: redis as ConnectionOptions,
    prefix: PREFIX,
    concurrency,
    drainDelay: BLOCK_SECONDS,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    // Connections can be lost several times during one job. The outbox repeats a job that ends because of it.
    maxStalledCount: 3,
    runRetryDelay: 1_000,
    ...SKIP_CHECKS,
  }).on('error', onError);
}

export function openQueues(url: string, onError: (error: Error) => void): Queues {
  // If Redis does not answer, the relay receives an error and puts the rows back.
  const options = { connectionName: 'latchkey-relay', ...failFast(COMMAND_TIMEOUT_MS) };
  const connection = connectRedis(url, options, onError);
  const open = (topic: Topic) =>
    new Queue(topic, {
      connection: connection as ConnectionOptions,
      prefix: PREFIX,
      ...SKIP_CHECKS,
      defaultJobOptions: {
        ...RETRY,
        removeOnComplete: true,
        removeOnFail: true,
      },
    }).on('error', onError);
  const queues = { audit: open('audit') as Queue<AuditJob>, mail: open('mail') as Queue<MailJob> };

  return {
    async add(rows) {
      // BullMQ would wait for the first connection without a time-out.
      if (connection.status !== 'ready') {
        await once(connection, 'ready', { signal: AbortSignal.timeout(COMMAND_TIMEOUT_MS) });
      }
      const mails = rows.filter(({ topic }) => topic === 'mail');
      if (mails.length > 0) await queues.mail.addBulk(mails.map(mailJob));
      const events = rows.filter(({ topic }) => topic === 'audit').map(({ id }) => id);
      if (events.length === 0) return;
      await queues.audit.add('audit', { ids: events }, { jobId: jobIdOf(events) });
    },
    async close() {
      connection.disconnect();
      await Promise.all(Object.values(queues).map((queue) => queue.close()));
    },
  };
}

function mailJob({ id, attempts }: OutboxRef) {
  return { name: 'mail', data: { outboxId: id }, opts: { jobId: `${id}.${attempts}` } };
}

function jobIdOf(ids: string[]): string {
  return createHash('sha256').update(ids.toSorted().join()).digest('hex');
}
