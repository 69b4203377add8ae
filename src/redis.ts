import { Redis, type RedisOptions } from 'ioredis';

type Options = Omit<RedisOptions, 'replyMapping'>;

const MAX_RECONNECT_DELAY_MS = 2_000;

/** A connection that reconnects for ever. */
export function openRedis(url: string, options: Options, onError: (error: Error) => void): Redis {
  const retryStrategy = (attempt: number) => Math.min(attempt * 100, MAX_RECONNECT_DELAY_MS);
  const redis = new Redis(url, { retryStrategy, ...options });
  return redis.on('error', onError);
}

/** For commands that somebody waits for: a Redis that does not answer is an error at once, and nothing queues up for it. */
export function impatient(commandTimeoutMs: number): Options {
  return {
    connectTimeout: 2_000,
    commandTimeout: commandTimeoutMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  };
}
