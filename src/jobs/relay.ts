// Moves outbox rows to the queues. A row whose job has not finished after a while is handed over again; the job's id is
// the row's, so that does nothing unless Redis has lost it.
import type { Outbox } from '../store/outbox.ts';
import type { Queues } from './queues.ts';

export type Relay = {
  /** When the last round began (monotonic, milliseconds). */
  lastTurnAt(): number;
  /** Resolves when the round under way is over. */
  close(): Promise<void>;
};

const POLL_MS = 200;
const BATCH = 200;
/** After this long a job is looked for, and added again if Redis has lost it. */
const RELAY_AGAIN_MS = 60_000;

export type RelayDeps = { outbox: Pick<Outbox, 'takeDue' | 'putBack'>; queues: Pick<Queues, 'add'>; now: () => Date };

export function startRelay(deps: RelayDeps, onError: (error: unknown) => void): Relay {
  const stop = new AbortController();
  let lastTurnAt = performance.now();
  const ended = (async () => {
    while (!stop.signal.aborted) {
      lastTurnAt = performance.now();
      const moved = await relayBatch(deps).catch((error: unknown) => {
        onError(error);
        return 0;
      });
      if (moved < BATCH) await pause(POLL_MS, stop.signal);
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

/** @returns how many rows it moved */
async function relayBatch({ outbox, queues, now }: RelayDeps): Promise<number> {
  const at = now();
  const rows = await outbox.takeDue(at, new Date(at.getTime() - RELAY_AGAIN_MS), BATCH);
  if (rows.length === 0) return 0;
  try {
    await queues.add(rows);
  } catch (error) {
    await outbox.putBack(rows.map((row) => row.id));
    throw error;
  }
  return rows.length;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
