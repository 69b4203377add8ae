// Creates the instruments and records their values. Without a reader, the meter of OpenTelemetry's API does nothing.
import type { Meter, Observable } from '@opentelemetry/api';
import {
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
} from '@opentelemetry/semantic-conventions';
import type { Backlog } from '../store/outbox.ts';
import type { PoolUse } from '../store/postgres/primary-pool.ts';
import type { Instrument } from './instrument.ts';
import { INSTRUMENTS } from './instruments.ts';
import { type RpcSystem, statusCode } from './rpc-conventions.ts';

export type EndedCall = {
  /** `latchkey.auth.v1.AuthService/Login`; empty for an unknown method. */
  method: string;
  system: RpcSystem;
  /** A gRPC code as Connect writes it, such as `unauthenticated`. */
  code: string;
  reason: string;
  durationMs: number;
  /** Only for the trace. */
  origin?: () => { address: string; requestId: string };
};

export type Dependency = 'postgres' | 'redis' | 'smtp';
export type DatabaseSystem = 'postgresql' | 'redis';

export type Metrics = ReturnType<typeof createMetrics>;

const UNKNOWN = (['mail', 'audit'] as const).map(
  (topic): Backlog => ({ topic, waiting: Number.NaN, dead: Number.NaN, oldestSeconds: Number.NaN }),
);

export function createMetrics(meter: Meter) {
  const counter = ({ name, description, unit }: Instrument) => meter.createCounter(name, { description, unit });
  const histogram = ({ name, description, unit, buckets = [] }: Instrument) =>
    meter.createHistogram(name, { description, unit, advice: { explicitBucketBoundaries: [...buckets] } });
  const level = ({ name, description, unit }: Instrument) =>
    meter.createObservableUpDownCounter(name, { description, unit });
  const gauge = ({ name, description, unit }: Instrument) => meter.createObservableGauge(name, { description, unit });

  const calls = histogram(INSTRUMENTS.calls);
  const rejections = counter(INSTRUMENTS.rejections);
  const limits = counter(INSTRUMENTS.limits);
  const limitsNear = counter(INSTRUMENTS.limitsNear);
  const jobs = counter(INSTRUMENTS.jobs);
  const housekeepingRuns = counter(INSTRUMENTS.housekeepingRuns);
  const housekeepingRows = counter(INSTRUMENTS.housekeepingRows);
  const hashDuration = histogram(INSTRUMENTS.hashDuration);
  const hashWait = histogram(INSTRUMENTS.hashWait);
  const unreadableHashes = counter(INSTRUMENTS.unreadableHashes);
  const breachCheckFailures = counter(INSTRUMENTS.breachCheckFailures);
  // An alert on an increase needs the value 0 from the start.
  unreadableHashes.add(0);
  breachCheckFailures.add(0);
  const hashTasks = level(INSTRUMENTS.hashTasks);
  const viewAge = gauge(INSTRUMENTS.viewAge);
  const viewEntries = gauge(INSTRUMENTS.viewEntries);
  const clockDifference = gauge(INSTRUMENTS.clockDifference);
  const tokenCacheSize = level(INSTRUMENTS.tokenCacheSize);
  const policyOutdated = gauge(INSTRUMENTS.policyOutdated);
  const serviceKeyUse = gauge(INSTRUMENTS.serviceKeyUse);
  const connections = level(INSTRUMENTS.connections);
  const outboxEntries = gauge(INSTRUMENTS.outboxEntries);
  const outboxAge = gauge(INSTRUMENTS.outboxAge);
  const poolCount = level(INSTRUMENTS.poolCount);
  const poolMax = level(INSTRUMENTS.poolMax);
  const poolPending = level(INSTRUMENTS.poolPending);
  const databaseDuration = histogram(INSTRUMENTS.databaseDuration);
  const mailDuration = histogram(INSTRUMENTS.mailDuration);
  const certificateRemaining = gauge(INSTRUMENTS.certificateRemaining);
  const dependencies = new Map<Dependency, (() => boolean | null)[]>();
  gauge(INSTRUMENTS.dependencyUp).addCallback((into) => {
    for (const [dependency, uses] of dependencies) {
      const known = uses.map((isUp) => isUp()).filter((isUp) => isUp !== null);
      if (known.length > 0) into.observe(Number(known.every(Boolean)), { dependency });
    }
  });
  level(INSTRUMENTS.memory).addCallback((into) => into.observe(process.memoryUsage.rss()));

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
      if (reason !== '') rejections.add(1, { [ATTR_RPC_METHOD]: rpc, reason });
    },

    /**
     * @param outcome `exceeded` for an attempt that continues beyond a budget of the whole deployment
     * @param store `process` while Redis does not answer
     */
    limitTaken(limit: string, outcome: 'allowed' | 'rejected' | 'exceeded', store: 'redis' | 'process'): void {
      limits.add(1, { limit, outcome, store });
    },

    limitNear(limit: string): void {
      limitsNear.add(1, { limit });
    },

    jobEnded(topic: Backlog['topic'], outcome: 'done' | 'failed' | 'dead', count = 1): void {
      jobs.add(count, { topic, outcome });
    },

    houseKept(task: string, outcome: 'done' | 'failed', rows: number): void {
      housekeepingRuns.add(1, { task, outcome });
      housekeepingRows.add(rows, { task });
    },

    hashed(waitedMs: number, durationMs: number): void {
      hashWait.record(waitedMs / 1000);
      hashDuration.record(durationMs / 1000);
    },

    hashUnreadable(): void {
      unreadableHashes.add(1);
    },

    breachCheckFailed(): void {
      breachCheckFailures.add(1);
    },

    watchHashQueue(tasks: () => { running: number; waiting: number }): void {
      hashTasks.addCallback((into) => {
        for (const [state, value] of Object.entries(tasks())) into.observe(value, { state });
      });
    },

    watchView(view: { ageMs(): number; size(): number }): void {
      read(viewAge, () => view.ageMs() / 1000);
      read(viewEntries, () => view.size());
    },

    watchClock(aheadMs: () => number): void {
      read(clockDifference, () => aheadMs() / 1000);
    },

    watchTokenCache(bytes: () => number): void {
      read(tokenCacheSize, bytes);
    },

    watchPolicyFile(isOutdated: () => boolean): void {
      read(policyOutdated, () => Number(isOutdated()));
    },

    watchServiceKeys(uses: () => { name: string; fingerprint: string; lastUsedAt: Date | null }[]): void {
      serviceKeyUse.addCallback((into) => {
        for (const { name, fingerprint, lastUsedAt } of uses()) {
          into.observe((lastUsedAt?.getTime() ?? 0) / 1000, { service: name, key: fingerprint });
        }
      });
    },

    /** @param isUp returns null before the first use */
    watchDependency(dependency: Dependency, isUp: () => boolean | null): void {
      dependencies.set(dependency, [...(dependencies.get(dependency) ?? []), isUp]);
    },

    /** @param errorType empty after a success */
    databaseUsed(system: DatabaseSystem, durationMs: number, errorType: string): void {
      const failure = errorType !== '' && { [ATTR_ERROR_TYPE]: errorType };
      databaseDuration.record(durationMs / 1000, { [ATTR_DB_SYSTEM_NAME]: system, ...failure });
    },

    mailAttempted(outcome: 'sent' | 'rejected' | 'failed', durationMs: number): void {
      mailDuration.record(durationMs / 1000, { outcome });
    },

    watchCertificate(remainingMs: () => number): void {
      read(certificateRemaining, () => remainingMs() / 1000);
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

    /** @param backlog runs at each collection. After a failure the value is NaN, so that no old value is reported. */
    watchOutbox(backlog: () => Promise<Backlog[]>): void {
      meter.addBatchObservableCallback(
        async (into) => {
          for (const { topic, waiting, dead, oldestSeconds } of await backlog().catch(() => UNKNOWN)) {
            into.observe(outboxEntries, waiting, { topic, state: 'waiting' });
            into.observe(outboxEntries, dead, { topic, state: 'dead' });
            into.observe(outboxAge, oldestSeconds, { topic });
          }
        },
        [outboxEntries, outboxAge],
      );
    },
  };
}
