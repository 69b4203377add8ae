import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { withTimeLimit } from '../../src/async/with-time-limit.ts';

const LIMIT_MS = 1_000;
const FOREVER = new Promise<never>(() => {});

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Work that never ends, and the signals that it received. */
function hangingWork() {
  const received: AbortSignal[] = [];
  const work = (signal: AbortSignal) => {
    received.push(signal);
    return FOREVER;
  };
  return { received, work };
}

test('work that lasts too long fails, and its signal aborts', async () => {
  const { received, work } = hangingWork();
  const outcome = expect(withTimeLimit(new AbortController().signal, LIMIT_MS, work)).rejects;
  vi.advanceTimersByTime(LIMIT_MS - 1);
  expect(received.map(({ aborted }) => aborted)).toEqual([false]);
  vi.advanceTimersByTime(1);
  expect(received.map(({ aborted }) => aborted)).toEqual([true]);
  await outcome.toMatchObject({ name: 'TimeoutError', message: 'timed out after 1000 ms' });
});

test('an abort from outside reaches the work with its reason', async () => {
  const [{ received, work }, caller] = [hangingWork(), new AbortController()];
  const outcome = expect(withTimeLimit(caller.signal, LIMIT_MS, work)).rejects.toThrow('disconnected');
  caller.abort(new Error('disconnected'));
  await outcome;
  expect(received.map(({ reason }) => reason)).toEqual([caller.signal.reason]);
});

test('an aborted signal prevents the work', async () => {
  const { received, work } = hangingWork();
  const aborted = AbortSignal.abort(new Error('disconnected'));
  await expect(withTimeLimit(aborted, LIMIT_MS, work)).rejects.toThrow('disconnected');
  expect(received).toEqual([]);
});

test.each([
  ['a result', async () => 'done'],
  ['an error', () => Promise.reject(new Error('broken'))],
])('after %s it leaves neither a timer nor a listener', async (_, work) => {
  const { signal } = new AbortController();
  const [outcome] = await Promise.allSettled([withTimeLimit(signal, LIMIT_MS, work)]);
  expect([outcome]).toEqual(await Promise.allSettled([work()]));
  expect(vi.getTimerCount()).toBe(0);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});
