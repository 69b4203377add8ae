// Watchers outside this process. Each receives all events in force, or the events since its cursor, and then every
// step. A watcher that reads too slowly is disconnected: its buffer is bounded.
import { pause } from '../async/pause.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { RevocationEvent } from '../domain/revocation-event.ts';
import type { EventsPage, RevocationEvents } from '../store/revocation-events.ts';
import type { Cursor } from './cursor.ts';
import { type FeedStep, RESUMABLE_MS, type RevocationFeed } from './revocation-feed.ts';

type WatchMessage = {
  events: RevocationEvent[];
  /** The position that all messages so far lead to; null while more messages belong to it. */
  position: Cursor | null;
};

export type Watchers = {
  /**
   * @param from the position to resume from; null for all events in force
   * @throws AuthError CURSOR_TOO_OLD or WATCHER_TOO_SLOW
   */
  watch(from: Cursor | null, signal: AbortSignal): AsyncIterable<WatchMessage>;
  /** Ends every watch without an error. */
  close(): void;
};

export type WatchersDeps = {
  revocationEvents: Pick<RevocationEvents, 'page'>;
  feed: Pick<RevocationFeed, 'position' | 'subscribe'>;
  now: () => Date;
};

const HEARTBEAT_MS = 1_000;
const MAX_PENDING = 10_000;
/** Bounds the memory that one slow watcher uses while it catches up. */
const EVENTS_PER_PAGE = 2_000;
/** A message of so many events stays well below 64 KiB. */
const EVENTS_PER_MESSAGE = 500;

export function createWatchers({ revocationEvents, feed, now }: WatchersDeps): Watchers {
  const closing = new AbortController();

  async function* watch(from: Cursor | null, signal: AbortSignal): AsyncIterable<WatchMessage> {
    const end = AbortSignal.any([signal, closing.signal]);
    const pending = collect(feed);
    try {
      // The feed can be behind the pages. Then the watcher receives some events twice, and misses none.
      const start = feed.position();
      for await (const page of pagesFrom(from)) {
        for (const events of chunks(page)) yield { events, position: null };
      }
      yield { events: [], position: start };
      while (!end.aborted) {
        const next = await pending.next(end);
        for (const events of chunks(next.events)) yield { events, position: null };
        yield { events: [], position: next.position };
      }
    } finally {
      pending.stop();
    }
  }

  async function* pagesFrom(from: Cursor | null): AsyncIterable<RevocationEvent[]> {
    // A new watcher needs the keys, whether or not they changed lately.
    if (!from) yield [{ kind: 'keys_changed' }];
    else if (now().getTime() - from.asOf.getTime() > RESUMABLE_MS) throw new AuthError('CURSOR_TOO_OLD');
    let first: string | null = null;
    do {
      const page: EventsPage | null = await revocationEvents.page(from?.snapshot ?? null, first, EVENTS_PER_PAGE);
      if (!page) throw new AuthError('CURSOR_TOO_OLD');
      // The first message already carries the present keys.
      yield from ? page.events : page.events.filter(({ kind }) => kind !== 'keys_changed');
      first = page.next;
    } while (first !== null);
  }

  return { watch, close: () => closing.abort() };
}

function collect(feed: WatchersDeps['feed']) {
  // Not flattened: all watchers share the same arrays.
  let pending: RevocationEvent[][] = [];
  let count = 0;
  let position: FeedStep = feed.position();
  let isTooSlow = false;
  let hasEnded = false;
  let wake = () => {};
  const stop = feed.subscribe((step) => {
    position = step;
    hasEnded ||= step.isComplete;
    if (step.isComplete) return wake();
    if (step.events.length === 0) return;
    // A large step alone does not make a watcher slow. It must have been behind before.
    isTooSlow ||= count > MAX_PENDING;
    if (isTooSlow) pending = [];
    else pending.push(step.events);
    count += step.events.length;
    wake();
  });

  return {
    /** Resolves at once when there are new events, otherwise at the next heartbeat. */
    async next(end: AbortSignal): Promise<{ events: RevocationEvent[]; position: FeedStep }> {
      if (count === 0 && !hasEnded) await nextStep(end);
      if (hasEnded) throw new AuthError('CURSOR_TOO_OLD');
      if (isTooSlow) throw new AuthError('WATCHER_TOO_SLOW', { retryAfterMs: 0 });
      const events = pending.flat();
      pending = [];
      count = 0;
      return { events, position };
    },
    stop,
  };

  async function nextStep(end: AbortSignal): Promise<void> {
    const woken = new AbortController();
    wake = () => woken.abort();
    await pause(HEARTBEAT_MS, AbortSignal.any([end, woken.signal]));
  }
}

function chunks(events: RevocationEvent[]): RevocationEvent[][] {
  const count = Math.ceil(events.length / EVENTS_PER_MESSAGE);
  return Array.from({ length: count }, (_, n) => events.slice(n * EVENTS_PER_MESSAGE, (n + 1) * EVENTS_PER_MESSAGE));
}
