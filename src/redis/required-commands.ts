import type { Redis } from 'ioredis';

// The commands that the service and BullMQ run, for each pattern of keys.
export type RequiredCommand = readonly [name: string, ...args: string[]];

const LIMIT = 'latchkey:limit:probe';
const NETWORK = 'latchkey:place:probe';
const QUEUE = '{latchkey}:queue:probe';

/** For rate limits and known networks, besides MULTI and EXEC. */
export const LIMIT_COMMANDS: readonly RequiredCommand[] = [
  ['eval', 'return 1', '1', LIMIT],
  ['evalsha', '0'.repeat(40), '1', LIMIT],
  ['set', LIMIT, '1'],
  ['incrby', LIMIT, '1'],
  ['decr', LIMIT],
  ['get', LIMIT],
  ['pttl', LIMIT],
  ['expire', LIMIT, '1'],
  ['del', LIMIT],
  ['zadd', NETWORK, '1', 'x'],
  ['zscore', NETWORK, 'x'],
  ['zrange', NETWORK, '0', '0'],
  ['zrem', NETWORK, 'x'],
  ['zremrangebyscore', NETWORK, '0', '0'],
  ['zremrangebyrank', NETWORK, '0', '0'],
  ['expire', NETWORK, '1'],
  ['del', NETWORK],
];

/** For BullMQ's blocking read, its scripts and the commands inside them, besides MULTI and EXEC. */
export const QUEUE_COMMANDS: readonly RequiredCommand[] = [
  ['eval', 'return 1', '1', QUEUE],
  ['evalsha', '0'.repeat(40), '1', QUEUE],
  ['bzpopmin', QUEUE, '1'],
  ...[
    'get',
    'incr',
    'pttl',
    'persist',
    'exists',
    'del',
    'smembers',
    'scard',
    'zcard',
    'zpopmin',
    'hgetall',
    'llen',
  ].map((name) => [name, QUEUE] as const),
  ['set', QUEUE, '1'],
  ['pexpire', QUEUE, '1'],
  ['hset', QUEUE, 'x', '1'],
  ['hmset', QUEUE, 'x', '1'],
  ['hget', QUEUE, 'x'],
  ['hmget', QUEUE, 'x'],
  ['hdel', QUEUE, 'x'],
  ['hexists', QUEUE, 'x'],
  ['hincrby', QUEUE, 'x', '1'],
  ['lpush', QUEUE, 'x'],
  ['rpush', QUEUE, 'x'],
  ['lrange', QUEUE, '0', '0'],
  ['lrem', QUEUE, '0', 'x'],
  ['ltrim', QUEUE, '0', '0'],
  ['rpoplpush', QUEUE, QUEUE],
  ['sadd', QUEUE, 'x'],
  ['srem', QUEUE, 'x'],
  ['zadd', QUEUE, '1', 'x'],
  ['zrem', QUEUE, 'x'],
  ['zscore', QUEUE, 'x'],
  ['zrange', QUEUE, '0', '0'],
  ['zrangebyscore', QUEUE, '0', '0'],
  ['zrevrange', QUEUE, '0', '0'],
  ['zrevrangebyscore', QUEUE, '0', '0'],
  ['zremrangebyscore', QUEUE, '0', '0'],
  ['zremrangebyrank', QUEUE, '0', '0'],
  ['xadd', QUEUE, '*', 'x', '1'],
  ['xtrim', QUEUE, 'MAXLEN', '1'],
];

/** A managed Redis can remove a command, which is then unknown. */
export const DENIED = /^NOPERM|unknown command/i;
const KEY_DENIED = /access (?:a key|one of the keys)/i;

/**
 * Returns the commands that a login may not run. It queues them in a transaction that never runs: the server checks
 * rights when it queues a command.
 * @param redis a connection for this alone, which the caller closes
 */
export async function missingCommands(redis: Redis, required: readonly RequiredCommand[]): Promise<string[]> {
  const missing = async ([name, ...args]: RequiredCommand) => {
    const error = await errorOf(redis.call(name, ...args));
    return error && DENIED.test(error.message) ? [nameOf(error, name, args)] : [];
  };
  // Without a transaction EXEC does nothing, and without MULTI the commands would run.
  const [exec, multi] = [await missing(['exec']), await missing(['multi'])];
  if (multi.length > 0) return [...exec, ...multi];
  const found = await Promise.all(required.map(missing));
  return [...new Set([...exec, ...found.flat()])];
}

function nameOf({ message }: Error, name: string, args: string[]): string {
  if (!KEY_DENIED.test(message)) return name;
  const key = args.find((arg) => arg.endsWith(':probe')) ?? '';
  return `keys ${key.replace(/probe$/, '*')}`;
}

/** Returns the error of a reply. @throws every other error, such as that of a lost connection */
async function errorOf(reply: Promise<unknown>): Promise<Error | null> {
  return reply.then(
    () => null,
    (error: Error) => {
      if (error.name === 'ReplyError') return error;
      throw error;
    },
  );
}
