/** Runs `otherwise` while Redis is unavailable. Never rejects because of Redis. */
export type RedisFallback = <T>(viaRedis: () => Promise<T>, otherwise: () => T | Promise<T>) => Promise<T>;

/** Redis is not called for this long after a failure, so that a hanging Redis delays one call and not each. */
const PAUSE_MS = 5_000;

/** @param onFailure receives the error of each call that Redis did not answer */
export function createRedisFallback(onFailure: (error: unknown) => void): RedisFallback {
  let pausedUntil = 0;
  return async (viaRedis, otherwise) => {
    if (performance.now() < pausedUntil) return otherwise();
    try {
      return await viaRedis();
    } catch (error) {
      pausedUntil = performance.now() + PAUSE_MS;
      onFailure(error);
      return otherwise();
    }
  };
}
