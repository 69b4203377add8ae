import { Redis } from 'ioredis';
import { OperatorError } from '../process/operator-error.ts';
import { loginOf, type Options, withServers } from './connect-redis.ts';
import { parseRedisUrl, REDIS_URL_FORMS, type RedisAddress } from './parse-redis-url.ts';
import { missingCommands, type RequiredCommand } from './required-commands.ts';

const TIMEOUT_MS = 2_000;
const MODES: Record<RedisAddress['kind'], string> = { server: 'standalone', sentinel: 'sentinel', cluster: 'cluster' };
const FORMS: Record<string, string> = {
  standalone: 'one server: begin the URL with redis:// or rediss://',
  sentinel: 'a Sentinel: write redis+sentinel://host:26379,host:26379/master-name',
  cluster: 'a node of a cluster: write redis+cluster://host:6379,host:6379',
};

/**
 * Finds errors in REDIS_URL that no reconnection can correct. The service starts without a Redis that does not answer.
 * @throws OperatorError when the URL has the wrong form for the server, or when its login may not run a command
 */
export async function assertRedis(url: string, required: readonly RequiredCommand[]): Promise<void> {
  const problem = (await wrongForm(url)) ?? (await deniedCommands(url, required).catch(() => null));
  if (problem !== null) throw new OperatorError(problem);
}

/** Returns a sentence when the form does not fit the first host that answers; null when it fits or no host answers. */
export async function wrongForm(url: string): Promise<string | null> {
  const address = addressOf(url);
  const login = address.kind === 'sentinel' ? sentinelLoginOf(address) : loginOf(address);
  for (const host of address.hosts) {
    const mode = await tryOnce({ ...login, ...host }, async (redis) => (await hello(redis)).get('mode')).catch(
      () => '',
    );
    if (mode === '') continue;
    const isRight = mode === MODES[address.kind] || !Object.hasOwn(FORMS, mode ?? '');
    return isRight ? null : `REDIS_URL leads to ${FORMS[mode ?? '']}`;
  }
  return null;
}

/** Returns a sentence that names the denied commands; null for none. @throws when Redis does not answer */
export async function deniedCommands(url: string, required: readonly RequiredCommand[]): Promise<string | null> {
  const address = addressOf(url);
  const nodes = address.kind === 'cluster' ? address.hosts.map((host) => ({ ...loginOf(address), ...host })) : [];
  const all = [...required, ...connectionCommands(address)];
  const read = (options: Options) => tryOnce(options, (redis) => missingCommands(redis, all));
  const missing = await firstOf(nodes.length > 0 ? nodes : [withServers(address, loginOf(address))], read);
  if (missing.length === 0) return null;
  const rights = missing.map((name) => (name.startsWith('keys ') ? name : name.toUpperCase())).join(', ');
  return `the Redis login of REDIS_URL lacks rights: ${rights}; allow them with ACL SETUSER (+command, ~key)`;
}

/** The client runs these when it connects. HELLO and AUTH cannot be denied. The client does not run CLIENT and INFO. */
function connectionCommands({ kind, db }: RedisAddress): RequiredCommand[] {
  if (kind === 'cluster') return [['cluster', 'slots'], ['asking']];
  return db === 0 ? [] : [['select', String(db)]];
}

function addressOf(url: string): RedisAddress {
  const address = parseRedisUrl(url);
  if (!address) throw new OperatorError(`REDIS_URL ${REDIS_URL_FORMS}`);
  return address;
}

async function firstOf<T, R>(items: T[], read: (item: T) => Promise<R>): Promise<R> {
  let lastError: unknown;
  for (const item of items) {
    try {
      return await read(item);
    } catch (error) {
      lastError = error;
    }
  }
  throw lastError;
}

/** Uses a new connection and does not retry. @throws the error of the connection rather than the error of a command */
async function tryOnce<T>(options: Options, read: (redis: Redis) => Promise<T>): Promise<T> {
  const once = { retryStrategy: () => null, sentinelRetryStrategy: () => null, lazyConnect: true };
  const redis = new Redis({ ...options, ...once, connectTimeout: TIMEOUT_MS, commandTimeout: TIMEOUT_MS });
  let cause: Error | null = null;
  redis.on('error', (error) => {
    cause ??= error;
  });
  try {
    await redis.connect();
    return await read(redis);
  } catch (error) {
    throw cause ?? error;
  } finally {
    redis.disconnect();
  }
}

function sentinelLoginOf(address: RedisAddress): Options {
  const { sentinelUsername: username, sentinelPassword: password } = address;
  return loginOf({ ...address, username, password, db: 0 });
}

/** Unlike INFO, HELLO cannot be denied to a login. It requires Redis 6. */
export async function hello(redis: Redis): Promise<Map<string, string>> {
  const reply = (await redis.call('HELLO')) as unknown[];
  const pairs = Array.from({ length: reply.length / 2 }, (_, n) => [reply[2 * n], reply[2 * n + 1]].map(String));
  return new Map(pairs as [string, string][]);
}
