// Moves outbox rows to the queues when they are due. A row whose job has not finished after a while is handed over again; the
// job's id names row and attempt, so that does nothing unless Redis has lost it.
import type { Outbox, Topic } from '../store/outbox.ts';
import type { Queues } from './queues.ts';

export type Relay = {
  /** Resolves when the round under way is over. */
  close(): Promise<void>;
};

const POLL_MS = 200;
/** After a failure, so that rows are not taken and put back all the time. */
const RETRY_MS = 1_000;
const BATCH = 200;
/** After this long a job is looked for, and added again if Redis has lost it. */
const RELAY_AGAIN_MS = 60_000;

/** Each has its own share of a round: a backlog of events does not delay mails. */
const TOPICS: Topic[] = ['mail', 'audit'];

export type RelayDeps = { outbox: Pick<Outbox, 'takeDue' | 'putBack'>; queues: Pick<Queues, 'add'> };

export function startRelay(deps: RelayDeps, onError: (error: unknown) => void): Relay {
  const stop = new AbortController();
  const ended = (async () => {
    while (!stop.signal.aborted) {
      const moved = await relayRound(deps).catch((error: unknown) => {
        onError(error);
        return null;
      });
      if (moved !== BATCH) await pause(moved === null ? RETRY_MS : POLL_MS, stop.signal);
    }
  })();
  return {
    async close() {
      stop.abort();
      await ended;
    },
  };
}

/** @returns how many rows of one topic it moved at most */
async function relayRound(deps: RelayDeps): Promise<number> {
  let most = 0;
  for (const topic of TOPICS) most = Math.max(most, await relayBatch(deps, topic));
  return most;
}

async function relayBatch({ outbox, queues }: RelayDeps, topic: Topic): Promise<number> {
  const rows = await outbox.takeDue(topic, RELAY_AGAIN_MS, BATCH);
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
