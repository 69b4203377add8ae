import { Redis } from 'ioredis';
import { OperatorError } from '../process/operator-error.ts';
import { loginOf, type Options, placeOf } from './connect-redis.ts';
import { parseRedisUrl, REDIS_URL_FORMS, type RedisAddress } from './parse-redis-url.ts';
import { missingCommands, type RequiredCommand } from './required-commands.ts';

const TIMEOUT_MS = 2_000;
/** The mode that HELLO must report at the hosts of each form. */
const MODES: Record<RedisAddress['kind'], string> = { server: 'standalone', sentinel: 'sentinel', cluster: 'cluster' };
const FORMS: Record<string, string> = {
  standalone: 'one server: begin it with redis:// or rediss://',
  sentinel: 'a Sentinel: write redis+sentinel://host:26379,host:26379/master-name',
  cluster: 'a node of a cluster: write redis+cluster://host:6379,host:6379',
};

/**
 * Finds what would make a connection useless for as long as it exists. A Redis that does not answer is no error here,
 * because the service starts without it.
 * @throws OperatorError when the URL has the wrong form for the server, or when its login may not run a command
 */
export async function assertRedis(url: string, required: readonly RequiredCommand[]): Promise<void> {
  const problem = (await wrongForm(url)) ?? (await deniedCommands(url, required).catch(() => null));
  if (problem !== null) throw new OperatorError(problem);
}

/** A sentence for a URL whose form does not fit the first of its hosts that answers; null when it fits or none answers. */
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

/** A sentence that names the commands which the login lacks; null for none. @throws when Redis does not answer */
export async function deniedCommands(url: string, required: readonly RequiredCommand[]): Promise<string | null> {
  const address = addressOf(url);
  // Every node of a cluster has the same privileges.
  const places = address.kind === 'cluster' ? address.hosts.map((host) => ({ ...loginOf(address), ...host })) : [];
  const all = [...required, ...connectionCommands(address)];
  const look = (options: Options) => tryOnce(options, (redis) => missingCommands(redis, all));
  const missing = await firstOf(places.length > 0 ? places : [placeOf(address, loginOf(address))], look);
  if (missing.length === 0) return null;
  const rights = missing.map((name) => (name.startsWith('keys ') ? name : name.toUpperCase())).join(', ');
  return `the Redis login of REDIS_URL lacks rights: ${rights}; allow them with ACL SETUSER (+command, ~key)`;
}

/** The client itself runs these as it connects. HELLO and AUTH are never denied, and it does without CLIENT and INFO. */
function connectionCommands({ kind, db }: RedisAddress): RequiredCommand[] {
  if (kind === 'cluster') return [['cluster', 'slots'], ['asking']];
  return db === 0 ? [] : [['select', String(db)]];
}

function addressOf(url: string): RedisAddress {
  const address = parseRedisUrl(url);
  if (!address) throw new OperatorError(`REDIS_URL ${REDIS_URL_FORMS}`);
  return address;
}

/** The first result that is no error, or the last error. */
async function firstOf<T, R>(items: T[], look: (item: T) => Promise<R>): Promise<R> {
  let lastError: unknown;
  for (const item of items) {
    try {
      return await look(item);
    } catch (error) {
      lastError = error;
    }
  }
  throw lastError;
}

/** On a connection for this alone. @throws what ended the connection, when there was none */
async function tryOnce<T>(options: Options, look: (redis: Redis) => Promise<T>): Promise<T> {
  const once = { retryStrategy: () => null, sentinelRetryStrategy: () => null, lazyConnect: true };
  const redis = new Redis({ ...options, ...once, connectTimeout: TIMEOUT_MS, commandTimeout: TIMEOUT_MS });
  let cause: Error | null = null;
  redis.on('error', (error) => {
    cause ??= error;
  });
  try {
    await redis.connect();
    return await look(redis);
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

/** Unlike INFO no login can be denied HELLO. Redis before 6 lacks it. */
export async function hello(redis: Redis): Promise<Map<string, string>> {
  const reply = (await redis.call('HELLO')) as unknown[];
  const pairs = Array.from({ length: reply.length / 2 }, (_, n) => [reply[2 * n], reply[2 * n + 1]].map(String));
  return new Map(pairs as [string, string][]);
}
