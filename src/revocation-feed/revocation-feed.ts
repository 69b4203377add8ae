// Follows what verifiers must hear of: reads it from Postgres, keeps this process's view of revocations and its keys up to
// date, and passes it on to those who follow this process. NOTIFY wakes it; a short poll is the safety net.
import { pause } from '../async/pause.ts';
import type { Change } from '../domain/revocation-event.ts';
import type { Changes, ChangesRead, Snapshot } from '../store/revocation-events.ts';
import type { RevocationView } from '../verifier/revocation-view.ts';

/** One step of the feed: what is new, and how far it has come. */
export type Step = {
  changes: Change[];
  /** All that is in force. The steps before were of another history of the server, or too long ago. */
  isWhole: boolean;
  snapshot: Snapshot;
  /** All that had been committed by then has been told. */
  asOf: Date;
};

export type ChangeFeed = {
  /** Where the feed is, with nothing new. */
  position(): Step;
  /** Reads on at once. */
  wake(): void;
  /** Resolves when all that is committed now is in this process's view, or cannot be read; at the latest after half a second. */
  catchUp(): Promise<void>;
  /** Hears every later step. Returns how to stop. */
  subscribe(onStep: (step: Step) => void): () => void;
  close(): Promise<void>;
};

export type FeedDeps = {
  changes: Pick<Changes, 'inForce' | 'since'>;
  view: Pick<RevocationView, 'reset' | 'apply' | 'confirm'>;
  reloadKeys: () => Promise<void>;
  pollMs: number;
  now: () => Date;
};

/** `readAt` is monotonic. */
type Read = Step & { readAt: number };

const CATCH_UP_MS = 500;
/** From a place that is older nobody goes on: changes are kept for two hours. */
export const RESUMABLE_MS = 3600_000;

/** Resolves when the view is complete for the first time. @throws when it cannot be read */
export async function followChanges(deps: FeedDeps, onError: (error: unknown) => void): Promise<ChangeFeed> {
  const { changes, view, reloadKeys, now } = deps;
  const subscribers = new Set<(step: Step) => void>();
  let position: Step = { ...(await advance(await timed(readAll))), changes: [], isWhole: false };
  let closed = false;
  let waiting: (() => void)[] = [];
  /** Aborted by a notification. One that comes during a round may announce something that the round has not read. */
  let woken = new AbortController();

  async function timed(read: () => Promise<ChangesRead & { isWhole: boolean }>): Promise<Read> {
    const [readAt, asOf] = [performance.now(), now()];
    return { ...(await read()), readAt, asOf };
  }

  async function readAll() {
    return { ...(await changes.inForce()), isWhole: true };
  }

  async function readOn() {
    const isOld = now().getTime() - position.asOf.getTime() > RESUMABLE_MS;
    const news = isOld ? null : await changes.since(position.snapshot);
    return news ? { ...news, isWhole: false } : readAll();
  }

  async function advance(read: Read): Promise<Step> {
    // Before the view says that it knows everything.
    if (read.isWhole || read.changes.some(({ kind }) => kind === 'keys_changed')) await reloadKeys();
    // An event that was lost with a failed primary must not stop tokens of today.
    if (read.isWhole) view.reset();
    view.apply(read.changes);
    view.confirm(read.readAt);
    return { changes: read.changes, isWhole: read.isWhole, snapshot: read.snapshot, asOf: read.asOf };
  }

  async function round(): Promise<void> {
    const answered = waiting;
    waiting = [];
    woken = new AbortController();
    try {
      const step = await advance(await timed(readOn));
      position = { ...step, changes: [], isWhole: false };
      for (const tell of subscribers) tell(step);
    } catch (error) {
      onError(error);
    }
    for (const resolve of answered) resolve();
  }

  const ended = (async () => {
    while (!closed) {
      await pause(deps.pollMs, woken.signal);
      if (!closed) await round();
    }
  })();

  const wake = () => woken.abort();

  return {
    position: () => position,
    wake,
    catchUp() {
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, CATCH_UP_MS);
        waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
        wake();
      });
    },
    subscribe(onStep) {
      subscribers.add(onStep);
      return () => subscribers.delete(onStep);
    },
    async close() {
      closed = true;
      wake();
      for (const resolve of waiting) resolve();
      await ended;
    },
  };
}
