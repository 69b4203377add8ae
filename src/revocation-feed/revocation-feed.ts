// The folder revocation-feed owns the way of revocation events from Postgres to this process and to its watchers. It
// must not decide about tokens. This file reads the events, updates the revocation view and the keys, and passes each
// step to subscribers. NOTIFY wakes it; a short poll covers lost notifications.
import { pause } from '../async/pause.ts';
import type { RevocationEvent } from '../domain/revocation-event.ts';
import type { EventsRead, RevocationEvents, Snapshot } from '../store/revocation-events.ts';
import type { RevocationView } from '../verifier/revocation-view.ts';

export type FeedStep = {
  events: RevocationEvent[];
  /** The events are all that are in force. Earlier steps belong to another history of the server, or are too old. */
  isComplete: boolean;
  snapshot: Snapshot;
  /** Everything that was committed by then is included. */
  asOf: Date;
};

export type RevocationFeed = {
  position(): FeedStep;
  wake(): void;
  /** Resolves when everything that is committed now is in the view, when reading fails, or after half a second. */
  catchUp(): Promise<void>;
  /** Returns the function that unsubscribes. */
  subscribe(onStep: (step: FeedStep) => void): () => void;
  close(): Promise<void>;
};

export type FeedDeps = {
  revocationEvents: Pick<RevocationEvents, 'inForce' | 'since'>;
  view: Pick<RevocationView, 'reset' | 'apply' | 'confirm'>;
  reloadKeys: () => Promise<void>;
  pollMs: number;
  now: () => Date;
};

/** `readAt` is monotonic. */
type TimedRead = FeedStep & { readAt: number };

const CATCH_UP_MS = 500;
const UNKNOWN_EVENT =
  'a newer release has written an event of an unknown kind; tokens are checked in Postgres for about an hour; upgrade this process';
/** Older positions cannot be resumed: events are kept for two hours. */
export const RESUMABLE_MS = 3600_000;

/** @throws when the first read fails */
export async function followRevocationEvents(
  deps: FeedDeps,
  onError: (error: unknown) => void,
): Promise<RevocationFeed> {
  const { revocationEvents, view, reloadKeys, now } = deps;
  const subscribers = new Set<(step: FeedStep) => void>();
  let position: FeedStep = { ...(await advance(await timed(readAll))), events: [], isComplete: false };
  let closed = false;
  let catchingUp: (() => void)[] = [];
  /** Aborted by a notification. One that arrives during a round may be of an event that the round did not read. */
  let woken = new AbortController();

  async function timed(read: () => Promise<EventsRead & { isComplete: boolean }>): Promise<TimedRead> {
    const [readAt, asOf] = [performance.now(), now()];
    return { ...(await read()), readAt, asOf };
  }

  async function readAll() {
    return { ...(await revocationEvents.inForce()), isComplete: true };
  }

  async function readNew() {
    const isTooOld = now().getTime() - position.asOf.getTime() > RESUMABLE_MS;
    const read = isTooOld ? null : await revocationEvents.since(position.snapshot);
    return read ? { ...read, isComplete: false } : readAll();
  }

  async function advance({ readAt, ...step }: TimedRead): Promise<FeedStep> {
    // The keys come first: a confirmed view vouches for them too.
    if (step.isComplete || step.events.some(({ kind }) => kind === 'keys_changed')) await reloadKeys();
    // An event that was lost with a failed primary must not stop tokens of today.
    if (step.isComplete) view.reset();
    view.apply(step.events);
    if (step.events.some(({ kind }) => kind === 'unknown')) onError(new Error(UNKNOWN_EVENT));
    view.confirm(readAt);
    return step;
  }

  async function round(): Promise<void> {
    const resolves = catchingUp;
    catchingUp = [];
    woken = new AbortController();
    try {
      const step = await advance(await timed(readNew));
      position = { ...step, events: [], isComplete: false };
      for (const notify of subscribers) notify(step);
    } catch (error) {
      onError(error);
    }
    for (const resolve of resolves) resolve();
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
        catchingUp.push(() => {
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
      for (const resolve of catchingUp) resolve();
      await ended;
    },
  };
}
