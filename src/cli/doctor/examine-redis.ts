import type { Redis } from 'ioredis';
import type { Config } from '../../config.ts';
import { impatient, openRedis } from '../../redis.ts';
import { clockFinding, type Finding, failure, ok, TIMEOUT_MS } from './finding.ts';

export async function examineRedis({ REDIS_URL: url }: Config): Promise<Finding[]> {
  const redis = openRedis(url, { ...impatient(TIMEOUT_MS), enableOfflineQueue: true }, () => {});
  try {
    const [seconds, microseconds] = (await redis.time()).map(Number) as [number, number];
    return [
      ok('redis', 'answers'),
      await evictionFinding(redis),
      await persistenceFinding(redis),
      clockFinding('clock against Redis', Date.now() - (seconds * 1000 + microseconds / 1000)),
    ];
  } catch (error) {
    return [
      failure('redis', error, 'is it running, and is REDIS_URL right? Without it limits are stricter and mail is late'),
    ];
  } finally {
    redis.disconnect();
  }
}

/** BullMQ's keys must not be evicted, and neither must counts of attempts. */
async function evictionFinding(redis: Redis): Promise<Finding> {
  const check = 'redis eviction';
  const [, policy = ''] = (await redis.config('GET', 'maxmemory-policy').catch(() => [])) as string[];
  if (policy === 'noeviction') return ok(check, policy);
  const mend = 'set maxmemory-policy noeviction';
  if (policy === '')
    return { check, state: 'warning', what: 'CONFIG is not allowed here', mend: `make sure of it: ${mend}` };
  return { check, state: 'failed', what: `${policy}: counts and jobs may vanish`, mend };
}

async function persistenceFinding(redis: Redis): Promise<Finding> {
  const check = 'redis persistence';
  const info = await redis.info('persistence').catch(() => '');
  const isAppending = /^aof_enabled:1/m.test(info);
  if (isAppending) return ok(check, 'append only file');
  // What is lost with Redis comes again from the outbox; only limits begin anew.
  return {
    check,
    state: 'warning',
    what: 'no append only file: a restart loses the counts of attempts',
    mend: 'set appendonly yes',
  };
}
