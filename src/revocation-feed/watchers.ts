// Those who follow the feed from outside: each gets what is in force or what is new since its cursor, then every step. One
// that does not keep up is dropped; nothing is buffered for it without bound.
import { pause } from '../async/pause.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Change } from '../domain/revocation-event.ts';
import type { Changes, ChangesPage } from '../store/revocation-events.ts';
import type { Cursor } from './cursor.ts';
import { type ChangeFeed, RESUMABLE_MS, type Step } from './revocation-feed.ts';

type WatchEvent = {
  changes: Change[];
  /** What all that was told so far amounts to; null as long as that is not everything. */
  position: Cursor | null;
};

export type Watchers = {
  /**
   * Goes on until the signal aborts, or until `close`.
   * @param from where to go on; null for a snapshot
   * @throws AuthError CURSOR_TOO_OLD or WATCHER_TOO_SLOW
   */
  watch(from: Cursor | null, signal: AbortSignal): AsyncIterable<WatchEvent>;
  /** Ends every watch without an error. */
  close(): void;
};

export type WatchersDeps = {
  changes: Pick<Changes, 'page'>;
  feed: Pick<ChangeFeed, 'position' | 'subscribe'>;
  now: () => Date;
};

const HEARTBEAT_MS = 1_000;
/** What a watcher may be behind when more comes. */
const MAX_PENDING = 10_000;
/** What one that is slow makes this process hold of what it has to catch up on. */
const CHANGES_PER_PAGE = 2_000;
/** One message of them stays well below 64 KiB. */
const CHANGES_PER_EVENT = 500;

export function createWatchers({ changes, feed, now }: WatchersDeps): Watchers {
  const closing = new AbortController();

  async function* watch(from: Cursor | null, signal: AbortSignal): AsyncIterable<WatchEvent> {
    const end = AbortSignal.any([signal, closing.signal]);
    const pending = collect(feed);
    try {
      // The feed may be behind what is read here. Then some comes twice, and nothing is missed.
      const start = feed.position();
      for await (const page of readFrom(from)) {
        for (const some of chunks(page)) yield { changes: some, position: null };
      }
      yield { changes: [], position: start };
      while (!end.aborted) {
        const { changes: news, position } = await pending.next(end);
        for (const some of chunks(news)) yield { changes: some, position: null };
        yield { changes: [], position };
      }
    } finally {
      pending.stop();
    }
  }

  async function* readFrom(from: Cursor | null): AsyncIterable<Change[]> {
    // Whoever begins needs the keys, whether or not they changed lately.
    if (!from) yield [{ kind: 'keys_changed' }];
    else if (now().getTime() - from.asOf.getTime() > RESUMABLE_MS) throw new AuthError('CURSOR_TOO_OLD');
    let next: string | null = null;
    do {
      const page: ChangesPage | null = await changes.page(from?.snapshot ?? null, next, CHANGES_PER_PAGE);
      if (!page) throw new AuthError('CURSOR_TOO_OLD');
      // With the first message the keys have been told as they are now.
      yield from ? page.changes : page.changes.filter(({ kind }) => kind !== 'keys_changed');
      next = page.next;
    } while (next !== null);
  }

  return { watch, close: () => closing.abort() };
}

/** Collects what comes while a watcher is busy with what came before. */
function collect(feed: WatchersDeps['feed']) {
  // As they came, and not put together: all watchers hold the same ones.
  let pending: Change[][] = [];
  let count = 0;
  let position: Step = feed.position();
  let isTooSlow = false;
  let hasEnded = false;
  let wake = () => {};
  const stop = feed.subscribe((step) => {
    position = step;
    hasEnded ||= step.isWhole;
    if (step.isWhole) return wake();
    if (step.changes.length === 0) return;
    // However much comes at once: only who has been behind before is slow.
    isTooSlow ||= count > MAX_PENDING;
    if (isTooSlow) pending = [];
    else pending.push(step.changes);
    count += step.changes.length;
    wake();
  });

  return {
    /** What is new, at once if there is something; after a while in any case. */
    async next(end: AbortSignal): Promise<{ changes: Change[]; position: Step }> {
      if (count === 0 && !hasEnded) await somethingNew(end);
      if (hasEnded) throw new AuthError('CURSOR_TOO_OLD');
      if (isTooSlow) throw new AuthError('WATCHER_TOO_SLOW', { retryAfterMs: 0 });
      const news = pending.flat();
      pending = [];
      count = 0;
      return { changes: news, position };
    },
    stop,
  };

  async function somethingNew(end: AbortSignal): Promise<void> {
    const woken = new AbortController();
    wake = () => woken.abort();
    await pause(HEARTBEAT_MS, AbortSignal.any([end, woken.signal]));
  }
}

function chunks(changes: Change[]): Change[][] {
  const count = Math.ceil(changes.length / CHANGES_PER_EVENT);
  return Array.from({ length: count }, (_, n) => changes.slice(n * CHANGES_PER_EVENT, (n + 1) * CHANGES_PER_EVENT));
}
