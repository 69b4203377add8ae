// A row whose job has not finished after a while is added again. The job's id consists of row and attempt, so that has
// an effect only if Redis has lost the job.
import { pause } from '../async/pause.ts';
import type { Outbox, Topic } from '../store/outbox.ts';
import { AUDIT_BATCH } from './audit-recorder.ts';
import type { Queues } from './queues.ts';

export type Relay = {
  /** When the last round began (monotonic, milliseconds). */
  lastTurnAt(): number;
  close(): Promise<void>;
};

const POLL_MS = 200;
/** After a failure, so that rows are not taken and put back continuously. */
const RETRY_MS = 1_000;
const MAIL_BATCH = 200;
/** A job that has not finished after this time is added again, in case Redis has lost it. */
const RELAY_AGAIN_MS = 60_000;

export type RelayDeps = {
  topic: Topic;
  /** A full round is followed by the next one at once. */
  batch: number;
  outbox: Pick<Outbox, 'takeDue' | 'putBack'>;
  queues: Pick<Queues, 'add'>;
};

/** One for each topic, so that a backlog of audit events does not delay e-mails, nor the reverse. */
export function startRelays(deps: Omit<RelayDeps, 'topic' | 'batch'>, onError: (error: unknown) => void): Relay {
  const relays = [
    startRelay({ ...deps, topic: 'mail', batch: MAIL_BATCH }, onError),
    startRelay({ ...deps, topic: 'audit', batch: AUDIT_BATCH }, onError),
  ];
  return {
    lastTurnAt: () => Math.min(...relays.map((relay) => relay.lastTurnAt())),
    async close() {
      await Promise.all(relays.map((relay) => relay.close()));
    },
  };
}

export function startRelay(deps: RelayDeps, onError: (error: unknown) => void): Relay {
  const stop = new AbortController();
  let lastTurnAt = performance.now();
  const ended = (async () => {
    while (!stop.signal.aborted) {
      lastTurnAt = performance.now();
      const moved = await relayBatch(deps).catch((error: unknown) => {
        onError(error);
        return null;
      });
      if (moved !== deps.batch) await pause(moved === null ? RETRY_MS : POLL_MS, stop.signal);
    }
  })();
  return {
    lastTurnAt: () => lastTurnAt,
    async close() {
      stop.abort();
      await ended;
    },
  };
}

async function relayBatch({ topic, batch, outbox, queues }: RelayDeps): Promise<number> {
  const rows = await outbox.takeDue(topic, RELAY_AGAIN_MS, batch);
  if (rows.length === 0) return 0;
  try {
    await queues.add(rows);
  } catch (error) {
    await outbox.putBack(rows.map((row) => row.id));
    throw error;
  }
  return rows.length;
}
