// Every instrument of this service, by OpenTelemetry's conventions where there is one. Without a reader they cost next to
// nothing: the API's own meter does nothing.
import type { Meter, Observable } from '@opentelemetry/api';
import {
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  METRIC_RPC_SERVER_CALL_DURATION,
} from '@opentelemetry/semantic-conventions';
import type { Backlog } from '../store/outbox.ts';
import type { PoolUse } from '../store/postgres/primary-pool.ts';
import { type RpcSystem, statusCode } from './rpc-conventions.ts';

/** A call that has been answered, or given up. */
export type EndedCall = {
  /** `latchkey.auth.v1.AuthService/Login`; empty for one that is not served. */
  method: string;
  system: RpcSystem;
  /** A gRPC code's name, such as `unauthenticated`. */
  code: string;
  /** Of a refusal; empty otherwise. */
  reason: string;
  durationMs: number;
};

export type Metrics = ReturnType<typeof createMetrics>;

/** In seconds: the ones of the conventions, and below them those that tell a call from memory from one to Postgres. */
const CALL_BUCKETS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];
const HASH_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const UNKNOWN = (['mail', 'audit'] as const).map(
  (topic): Backlog => ({ topic, waiting: Number.NaN, dead: Number.NaN, oldestSeconds: Number.NaN }),
);

export function createMetrics(meter: Meter) {
  const seconds = (name: string, description: string, explicitBucketBoundaries: number[]) =>
    meter.createHistogram(name, { description, unit: 's', advice: { explicitBucketBoundaries } });
  const count = (name: string, description: string, unit: string) => meter.createCounter(name, { description, unit });
  const level = (name: string, description: string, unit: string) =>
    meter.createObservableUpDownCounter(name, { description, unit });
  const gauge = (name: string, description: string, unit: string) =>
    meter.createObservableGauge(name, { description, unit });

  const calls = seconds(METRIC_RPC_SERVER_CALL_DURATION, 'Duration of calls', CALL_BUCKETS);
  const refusals = count('latchkey.call.refusals', 'Calls that were refused, by reason', '{call}');
  const limits = count('latchkey.limit.decisions', 'Attempts that were counted, by limit', '{attempt}');
  const jobs = count('latchkey.jobs', 'Mails and audit events, by how an attempt at one ended', '{attempt}');
  const kept = count('latchkey.housekeeping.runs', 'Pieces of housekeeping, by how they ended', '{run}');
  const removed = count(
    'latchkey.housekeeping.removed',
    'What they have removed, forgotten or (signing keys) changed',
    '{row}',
  );
  const hashing = seconds('latchkey.hash.duration', 'How long a password was hashed', HASH_BUCKETS);
  const hashWaiting = seconds('latchkey.hash.wait.duration', 'How long it waited for that', HASH_BUCKETS);
  const unreadable = count(
    'latchkey.hash.unreadable',
    'Attempts at accounts whose stored password hash is unreadable',
    '{attempt}',
  );
  const breachFailures = count(
    'latchkey.breach_check.failures',
    'New passwords that were not checked against breaches, because the file is unreadable',
    '{password}',
  );
  // Present from the start, so that alerts see the first one.
  unreadable.add(0);
  breachFailures.add(0);
  const hashQueue = level('latchkey.hash.tasks', 'Passwords that are hashed, and that wait for it', '{task}');
  const viewAge = gauge('latchkey.revocation_view.age', 'How old the knowledge of revocations is', 's');
  const clockDifference = gauge(
    'latchkey.clock.difference',
    "How far this machine's clock is ahead of Postgres's",
    's',
  );
  const viewEntries = level('latchkey.revocation_view.entries', 'Sessions and users that it holds', '{entry}');
  const cacheSize = level('latchkey.token_cache.size', 'What verified tokens take', 'By');
  const connections = level('latchkey.connections', 'Connections of clients', '{connection}');
  const outbox = level('latchkey.outbox.entries', 'Mails and audit events that wait, and dead letters', '{entry}');
  const outboxAge = gauge('latchkey.outbox.oldest.age', 'How long the oldest of them waits', 's');
  const poolCount = level('db.client.connection.count', 'Connections to Postgres', '{connection}');
  const poolMax = level('db.client.connection.max', 'Connections to Postgres at the most', '{connection}');
  const poolPending = level('db.client.connection.pending_requests', 'What waits for a connection', '{request}');
  level('process.memory.usage', 'Physical memory', 'By').addCallback((into) => into.observe(process.memoryUsage.rss()));

  const read = (instrument: Observable, value: () => number) => instrument.addCallback((into) => into.observe(value()));

  return {
    callEnded({ method, system, code, reason, durationMs }: EndedCall): void {
      const rpc = method || '_OTHER';
      const { status, isServerError } = statusCode(system, code);
      calls.record(durationMs / 1000, {
        [ATTR_RPC_SYSTEM_NAME]: system,
        [ATTR_RPC_METHOD]: rpc,
        [ATTR_RPC_STATUS_CODE]: status,
        ...(isServerError && { [ATTR_ERROR_TYPE]: status }),
      });
      if (reason !== '') refusals.add(1, { [ATTR_RPC_METHOD]: rpc, reason });
    },

    /**
     * @param outcome `exceeded` for an attempt that goes on beyond a budget of the whole deployment
     * @param store where it was counted: `process` while Redis does not answer
     */
    limitTaken(limit: string, outcome: 'allowed' | 'refused' | 'exceeded', store: 'redis' | 'process'): void {
      limits.add(1, { limit, outcome, store });
    },

    jobEnded(topic: Backlog['topic'], outcome: 'done' | 'failed' | 'dead', count = 1): void {
      jobs.add(count, { topic, outcome });
    },

    houseKept(task: string, outcome: 'done' | 'failed', rows: number): void {
      kept.add(1, { task, outcome });
      removed.add(rows, { task });
    },

    hashed(waitedMs: number, durationMs: number): void {
      hashWaiting.record(waitedMs / 1000);
      hashing.record(durationMs / 1000);
    },

    hashUnreadable(): void {
      unreadable.add(1);
    },

    breachCheckFailed(): void {
      breachFailures.add(1);
    },

    watchHashQueue(tasks: () => { running: number; waiting: number }): void {
      hashQueue.addCallback((into) => {
        for (const [state, value] of Object.entries(tasks())) into.observe(value, { state });
      });
    },

    watchView(view: { ageMs(): number; size(): number }): void {
      read(viewAge, () => view.ageMs() / 1000);
      read(viewEntries, () => view.size());
    },

    /** @param aheadMs of the machine's clock against Postgres's */
    watchClock(aheadMs: () => number): void {
      read(clockDifference, () => aheadMs() / 1000);
    },

    watchTokenCache(bytes: () => number): void {
      read(cacheSize, bytes);
    },

    watchConnections(open: () => number): void {
      read(connections, open);
    },

    watchPool(name: string, use: () => PoolUse): void {
      const pool = { 'db.client.connection.pool.name': name };
      poolCount.addCallback((into) => {
        const { used, idle } = use();
        into.observe(used, { ...pool, 'db.client.connection.state': 'used' });
        into.observe(idle, { ...pool, 'db.client.connection.state': 'idle' });
      });
      poolMax.addCallback((into) => into.observe(use().max, pool));
      poolPending.addCallback((into) => into.observe(use().pending, pool));
    },

    /** @param backlog asked at each collection; when it fails, no number is told instead of the last one */
    watchOutbox(backlog: () => Promise<Backlog[]>): void {
      meter.addBatchObservableCallback(
        async (into) => {
          for (const { topic, waiting, dead, oldestSeconds } of await backlog().catch(() => UNKNOWN)) {
            into.observe(outbox, waiting, { topic, state: 'waiting' });
            into.observe(outbox, dead, { topic, state: 'dead' });
            into.observe(outboxAge, oldestSeconds, { topic });
          }
        },
        [outbox, outboxAge],
      );
    },
  };
}
