// Follows what verifiers must hear of: reads it from Postgres, keeps this process's view of revocations and its keys up to
// date, and passes it on to those who follow this process. NOTIFY wakes it; a short poll is the safety net.
import type { Change } from '../domain/change.ts';
import type { Changes, ChangesRead, Snapshot } from '../store/changes.ts';
import type { RevocationView } from '../verifier/revocation-view.ts';

/** One step of the feed: what is new, and how far it has come. */
export type Step = {
  changes: Change[];
  snapshot: Snapshot;
  /** All that had been committed by then has been told. */
  asOf: Date;
};

export type ChangeFeed = {
  /** Where the feed is, with nothing new. */
  position(): Step;
  /** Reads on at once. */
  wake(): void;
  /** Resolves when all that is committed now is in this process's view; after half a second in any case. Never throws. */
  catchUp(): Promise<void>;
  /** Hears every later step. Returns how to stop. */
  subscribe(onStep: (step: Step) => void): () => void;
  close(): Promise<void>;
};

export type FeedDeps = {
  changes: Pick<Changes, 'inForce' | 'since'>;
  view: Pick<RevocationView, 'apply' | 'confirm'>;
  reloadKeys: () => Promise<void>;
  pollMs: number;
  now: () => Date;
};

/** `readAt` is monotonic. */
type Read = ChangesRead & { isWhole: boolean; readAt: number; asOf: Date };

const CATCH_UP_MS = 500;

/** Resolves when the view is complete for the first time. @throws when it cannot be read */
export async function followChanges(deps: FeedDeps, onError: (error: unknown) => void): Promise<ChangeFeed> {
  const { changes, view, reloadKeys, now } = deps;
  const subscribers = new Set<(step: Step) => void>();
  let position = await advance(await readFrom(null));
  let isLost = false;
  let closed = false;
  let waiting: (() => void)[] = [];
  /** A notification that comes during a round may be of something that the round has not seen. */
  let isWoken = false;
  let endPause = () => {};

  /** @param snapshot null for all that is in force */
  async function readFrom(snapshot: Snapshot | null): Promise<Read> {
    const [readAt, asOf] = [performance.now(), now()];
    const read = snapshot === null ? await changes.inForce() : await changes.since(snapshot);
    return { ...read, isWhole: snapshot === null, readAt, asOf };
  }

  async function advance(read: Read): Promise<Step> {
    // Before the view says that it knows everything.
    if (read.isWhole || read.changes.some(({ kind }) => kind === 'keys_changed')) await reloadKeys();
    view.apply(read.changes);
    view.confirm(read.readAt);
    return { changes: read.changes, snapshot: read.snapshot, asOf: read.asOf };
  }

  async function round(): Promise<void> {
    const answered = waiting;
    waiting = [];
    isWoken = false;
    try {
      // After an outage the server may be another one, whose transactions count differently.
      const before = position.snapshot;
      let read = await readFrom(isLost ? null : before);
      if (oldestOf(read.snapshot) < oldestOf(before)) read = await readFrom(null);
      const step = await advance(read);
      position = { ...step, changes: [] };
      isLost = false;
      for (const tell of subscribers) tell(step);
    } catch (error) {
      isLost = true;
      onError(error);
    }
    for (const resolve of answered) resolve();
  }

  const ended = (async () => {
    while (!closed) {
      await pause();
      if (!closed) await round();
    }
  })();

  function wake(): void {
    isWoken = true;
    endPause();
  }

  /** Until the next poll, or until somebody wakes it. */
  function pause(): Promise<void> {
    if (isWoken) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, deps.pollMs);
      endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

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

/** The oldest transaction that was under way in a snapshot: it never becomes smaller on the same server. */
export function oldestOf(snapshot: Snapshot): bigint {
  return BigInt(snapshot.split(':', 1)[0] ?? '');
}
