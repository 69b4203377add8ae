import { waitAtMost } from '../../async/wait-at-most.ts';
import type { Config } from '../../config/config.ts';
import { deniedCommands, wrongForm } from '../../redis/assert-redis.ts';
import { connectRedis, failFast, type RedisClient } from '../../redis/connect-redis.ts';
import { parseRedisUrl } from '../../redis/parse-redis-url.ts';
import { infoOf, isDenied, isFull, type ServerState, serverStates, serversOf } from '../../redis/redis-health.ts';
import { LIMIT_COMMANDS, QUEUE_COMMANDS } from '../../redis/required-commands.ts';
import { clockFinding, type Finding, failure, ok, TIMEOUT_MS } from './finding.ts';

const NEARLY_FULL = 0.8;
const ANSWERS = {
  server: () => 'answers',
  sentinel: () => 'answers, the primary that the Sentinels name',
  cluster: (primaries: number) => `answers, a cluster of ${primaries} primaries`,
};
const MIB = 1024 * 1024;

export async function examineRedis({ redisUrl: url }: Config): Promise<Finding[]> {
  let cause: Error | null = null;
  const redis = connectRedis(url, { ...failFast(TIMEOUT_MS), enableOfflineQueue: true }, (error) => {
    cause ??= error;
  });
  try {
    const form = await wrongForm(url);
    if (form !== null) return [failed('redis', form, 'correct REDIS_URL')];
    await untilReady(redis);
    const states = await serverStates(redis);
    return [
      ok('redis', ANSWERS[parseRedisUrl(url)?.kind ?? 'server'](states.length)),
      roleFinding(states),
      await commandsFinding(url),
      memoryFinding(states),
      await evictionFinding(redis, states),
      await persistenceFinding(redis),
      await redisClockFinding(redis),
    ];
  } catch (error) {
    const remedy = 'start Redis, or correct REDIS_URL: without Redis limits are stricter and e-mails are late';
    return [failure('redis', cause ?? error, remedy)];
  } finally {
    redis.disconnect();
  }
}

async function untilReady(redis: RedisClient): Promise<void> {
  const isReady = () => redis.status === 'ready';
  if (isReady()) return;
  const settled = new Promise((resolve) => redis.once('ready', resolve).once('close', resolve));
  await waitAtMost(TIMEOUT_MS, settled);
  if (!isReady()) throw new Error('no answer');
}

function failed(check: string, result: string, remedy: string): Finding {
  return { check, state: 'failed', result, remedy };
}

function unchecked(check: string, command: string, remedy: string): Finding {
  return { check, state: 'warning', result: `not checked: this login may not run ${command}`, remedy };
}

function roleFinding(states: ServerState[]): Finding {
  const check = 'redis role';
  if (states.every(({ isPrimary }) => isPrimary)) return ok(check, 'primary');
  return failed(check, 'a replica, which accepts no writes', 'set REDIS_URL to the primary, or to the Sentinels');
}

async function commandsFinding(url: string): Promise<Finding> {
  const check = 'redis rights';
  const denied = await deniedCommands(url, [...LIMIT_COMMANDS, ...QUEUE_COMMANDS]);
  return denied === null
    ? ok(check, 'every command is allowed')
    : failed(check, denied, 'grant these rights: without them "serve" and "worker" do not start');
}

function memoryFinding(states: ServerState[]): Finding {
  const check = 'redis memory';
  const remedy = 'raise maxmemory: a full Redis counts no attempts and accepts no e-mails';
  const fullest = states.toSorted((a, b) => share(b) - share(a))[0]?.memory;
  if (!fullest || states.some(({ memory }) => memory === null)) {
    return unchecked(check, 'INFO', 'compare used_memory with maxmemory');
  }
  const { usedBytes, limitBytes } = fullest;
  const used = `${Math.round(usedBytes / MIB)} MiB in use`;
  if (limitBytes === 0) return ok(check, `${used}, no limit`);
  const result = `${used} of ${Math.round(limitBytes / MIB)} MiB`;
  if (states.some(isFull)) return failed(check, `full: ${result}`, remedy);
  return usedBytes > limitBytes * NEARLY_FULL ? { check, state: 'warning', result, remedy } : ok(check, result);
}

function share({ memory }: ServerState): number {
  return memory && memory.limitBytes > 0 ? memory.usedBytes / memory.limitBytes : 0;
}

/** Redis must evict neither the keys of BullMQ nor counts of attempts. */
async function evictionFinding(redis: RedisClient, states: ServerState[]): Promise<Finding> {
  const check = 'redis eviction';
  const remedy = 'set maxmemory-policy noeviction';
  const policies = await Promise.all(
    serversOf(redis).map(
      async (server, n) => states[n]?.memory?.policy ?? (await configOf(server, 'maxmemory-policy')),
    ),
  );
  const evicting = policies.find((policy) => policy !== null && policy !== 'noeviction');
  if (evicting) return failed(check, `${evicting}: Redis can remove counts and jobs`, remedy);
  return policies.includes(null) ? unchecked(check, 'INFO or CONFIG', remedy) : ok(check, 'noeviction');
}

async function persistenceFinding(redis: RedisClient): Promise<Finding> {
  const check = 'redis persistence';
  const appending = await Promise.all(
    serversOf(redis).map(async (server) => (await infoOf(server, 'persistence'))?.get('aof_enabled')),
  );
  if (appending.includes(undefined)) return unchecked(check, 'INFO', 'set appendonly yes');
  if (appending.every((enabled) => enabled === '1')) return ok(check, 'append only file');
  // The outbox queues lost jobs again.
  const result = 'no append only file: a restart loses the counts of attempts';
  return { check, state: 'warning', result, remedy: 'set appendonly yes' };
}

async function redisClockFinding(redis: RedisClient): Promise<Finding> {
  const check = 'clock against Redis';
  try {
    const [seconds, microseconds] = (await redis.time()).map(Number) as [number, number];
    return clockFinding(check, Date.now() - (seconds * 1000 + microseconds / 1000));
  } catch (error) {
    if (!isDenied(error)) throw error;
    return unchecked(check, 'TIME', 'let NTP set the clocks of both machines');
  }
}

/** Returns null where the login may not read the configuration. */
async function configOf(server: ReturnType<typeof serversOf>[number], name: string): Promise<string | null> {
  const [, value = ''] = (await server.config('GET', name).catch((error: unknown) => {
    if (isDenied(error)) return [];
    throw error;
  })) as string[];
  return value === '' ? null : value;
}
