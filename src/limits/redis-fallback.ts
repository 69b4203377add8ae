import { inTime } from '../async/in-time.ts';

/** Runs `otherwise` while Redis is unavailable. Never rejects because of Redis. */
export type RedisFallback = <T>(viaRedis: () => Promise<T>, otherwise: () => T | Promise<T>) => Promise<T>;

/** Redis is not called for this long after a failure, so that a hanging Redis delays one call and not each. */
const PAUSE_MS = 5_000;

export type RedisFallbackOptions = {
  timeoutMs: number;
  /** Receives the error of each call that Redis did not answer. */
  onFailure: (error: unknown) => void;
  /** Receives the duration of each call to Redis, and its error or null. */
  onUsed?: (durationMs: number, error: unknown) => void;
};

export function createRedisFallback({ timeoutMs, onFailure, onUsed }: RedisFallbackOptions): RedisFallback {
  let pausedUntil = 0;
  return async (viaRedis, otherwise) => {
    const startedAt = performance.now();
    if (startedAt < pausedUntil) return otherwise();
    try {
      const result = await inTime(timeoutMs, viaRedis);
      onUsed?.(performance.now() - startedAt, null);
      return result;
    } catch (error) {
      onUsed?.(performance.now() - startedAt, error);
      pausedUntil = performance.now() + PAUSE_MS;
      onFailure(error);
      return otherwise();
    }
  };
}
