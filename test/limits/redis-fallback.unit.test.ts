import { expect, onTestFinished, test, vi } from 'vitest';
import { createRedisFallback } from '../../src/limits/redis-fallback.ts';

const failing = () => Promise.reject(new Error('connection lost'));

test('a failure is reported, and Redis is called again after 5 seconds', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const failures: unknown[] = [];
  const fallback = createRedisFallback({ timeoutMs: 1_000, onFailure: (error) => failures.push(error) });
  const viaRedis = vi.fn(async () => 'Redis');
  const attempt = () => fallback(viaRedis, () => 'process');
  expect(await attempt()).toBe('Redis');
  expect(await fallback(failing, () => 'process')).toBe('process');
  expect(failures).toEqual([new Error('connection lost')]);
  vi.advanceTimersByTime(4_999);
  expect(await attempt()).toBe('process');
  expect(viaRedis).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1);
  expect(await attempt()).toBe('Redis');
  expect(failures).toHaveLength(1);
});

test('an error while Redis is unavailable is the error of the call', async () => {
  const fallback = createRedisFallback({ timeoutMs: 1_000, onFailure: () => {} });
  await expect(fallback(failing, () => Promise.reject(new Error('other')))).rejects.toThrow('other');
});
