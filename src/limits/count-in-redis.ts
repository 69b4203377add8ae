import { Cluster, type Redis } from 'ioredis';
import { gather } from '../async/gather.ts';

type Attempt = { key: string; windowSeconds: number };
/** `count` includes this attempt. */
export type Counted = { count: number; msLeft: number };
export type CountInRedis = (attempt: Attempt) => Promise<Counted>;

/** A key without a time would count for ever. It comes from a Redis that was changed by hand. */
const COUNT = `
local counted = {}
for n, key in ipairs(KEYS) do
  redis.call('set', key, 0, 'EX', ARGV[n], 'NX')
  counted[2 * n - 1] = redis.call('incrby', key, 1)
  local left = redis.call('pttl', key)
  if left == -1 then
    redis.call('expire', key, ARGV[n])
    left = 1000 * ARGV[n]
  end
  counted[2 * n] = left
end
return counted`;

const MAX_ATTEMPTS = 64;

type Script = (keyCount: number, ...keysAndWindows: (string | number)[]) => Promise<number[]>;

/** Attempts of one turn of the event loop are counted by one command. */
export function createCountInRedis(redis: Redis | Cluster): CountInRedis {
  redis.defineCommand('latchkeyCount', { lua: COUNT });
  const script = (redis as unknown as { latchkeyCount: Script }).latchkeyCount.bind(redis);
  // The keys of a command must be on one node of a cluster.
  const maxInputs = redis instanceof Cluster ? 1 : MAX_ATTEMPTS;
  return gather<Attempt, Counted>({ maxInputs, waitMs: 0 }, async (attempts) => {
    if (redis.status !== 'ready') throw new Error('Redis is not connected');
    const keys = attempts.map(({ key }) => key);
    const numbers = await script(keys.length, ...keys, ...attempts.map(({ windowSeconds }) => windowSeconds));
    return attempts.map((_, n) => ({ count: Number(numbers[2 * n]), msLeft: Number(numbers[2 * n + 1]) }));
  });
}
