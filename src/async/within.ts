import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for the work, but no longer than this. For stops, which must end whatever hangs. */
export async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const done = new AbortController();
  const late = sleep(milliseconds, undefined, { signal: done.signal }).catch(() => {});
  await Promise.race([work, late]).finally(() => done.abort());
}
