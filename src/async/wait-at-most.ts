import { untilAborted } from './until-aborted.ts';

/** A stop uses it to end even when a connection hangs. */
export async function waitAtMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  const timeUp = new AbortController();
  const timer = setTimeout(() => timeUp.abort(), milliseconds);
  try {
    await untilAborted(timeUp.signal, () => work);
  } catch (error) {
    if (error !== timeUp.signal.reason) throw error;
  } finally {
    clearTimeout(timer);
  }
}
