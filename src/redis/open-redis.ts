import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { OperatorError } from '../process/operator-error.ts';
import { parseRedisUrl, REDIS_URL_FORMS, type RedisAddress } from './parse-redis-url.ts';

export type RedisClient = Redis | Cluster;
export type Options = Omit<RedisOptions, 'replyMapping'>;

const RECONNECT_STEP_MS = 100;
const MAX_RECONNECT_DELAY_MS = 2_000;
/** After this long without a rejected command the next reconnection is quick again. */
const CALM_MS = 10_000;
const CONNECT_TIMEOUT_MS = 2_000;
const KEEPALIVE_MS = 5_000;
/** A connection on which an answer is overdue for this long is made anew. Blocking commands must be shorter. */
const SILENCE_MS = 5_000;

/** The server is no primary, or not yet: the address leads to another one soon. Redis 6 has the word inside the text. */
const NOT_PRIMARY = /(?:^|\s-)(?:READONLY|LOADING|MASTERDOWN|UNBLOCKED)\b/;
/** The server rejects now what it may do later: it is full, its disk is, its replicas are missing, or the login's rights are. */
const REJECTED = /(?:^|\s-)(?:OOM|MISCONF|NOREPLICAS|NOPERM|NOAUTH|BUSY)\b/;

/** A connection that reconnects for ever. @throws OperatorError when the URL has no known form */
export function openRedis(url: string, options: Options, onError: (error: Error) => void): RedisClient {
  const address = parseRedisUrl(url);
  if (!address) throw new OperatorError(`REDIS_URL ${REDIS_URL_FORMS}`);
  const timeouts = { connectTimeout: CONNECT_TIMEOUT_MS, socketTimeout: SILENCE_MS };
  const paced = withPace({ ...loginOf(address), ...timeouts, ...options }, onError);
  const client = address.kind === 'cluster' ? openCluster(address, paced, onError) : new Redis(placeOf(address, paced));
  return client.on('error', onError);
}

/** For commands that a caller waits for: a Redis that does not answer is an error at once, and nothing queues up for it. */
export function impatient(commandTimeoutMs: number): Options {
  return {
    commandTimeout: commandTimeoutMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    reconnectOnError: ({ message }) => NOT_PRIMARY.test(message),
  };
}

/** For commands that must succeed some time: they are sent again until a server carries them out. */
export function patient(): Options {
  return {
    maxRetriesPerRequest: null,
    reconnectOnError: ({ message }) => (NOT_PRIMARY.test(message) || REJECTED.test(message) ? 2 : false),
  };
}

/** What a connection to any server needs, without anything that a restricted login may lack. */
export function loginOf({ username, password, db, isEncrypted }: RedisAddress): Options {
  return {
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
    ...(isEncrypted && { tls: {} }),
    db,
    keepAlive: KEEPALIVE_MS,
    // The check needs INFO, which managed services deny; LOADING is handled where it is answered.
    enableReadyCheck: false,
    disableClientInfo: true,
  };
}

/** Where the one server is, or the Sentinels that know it. */
export function placeOf(address: RedisAddress, options: Options): Options {
  if (address.kind !== 'sentinel') return { ...address.hosts[0], ...options };
  const { sentinelUsername, sentinelPassword, masterName, isEncrypted } = address;
  return {
    ...options,
    sentinels: address.hosts,
    name: masterName,
    ...(sentinelUsername !== '' && { sentinelUsername }),
    ...(sentinelPassword !== '' && { sentinelPassword }),
    ...(isEncrypted && { sentinelTLS: {}, enableTLSForSentinelMode: true }),
    sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
  };
}

function openCluster({ hosts }: RedisAddress, options: Options, onError: (error: Error) => void): Cluster {
  const { enableOfflineQueue = true, retryStrategy, ...redisOptions } = options;
  const cluster = new Cluster(hosts, {
    redisOptions,
    enableOfflineQueue,
    clusterRetryStrategy: (attempt) => retryStrategy?.(attempt),
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    // Names stay names: certificates are verified against them.
    dnsLookup: (host, callback) => callback(null, host),
    enableReadyCheck: false,
  });
  return cluster.on('node error', onError);
}

/** Reconnects quickly at first, and more and more slowly where the server answers but rejects commands. */
function withPace(options: Options, onError: (error: Error) => void): Options {
  const { reconnectOnError } = options;
  let rejectedAt = Number.NEGATIVE_INFINITY;
  let isRejected = false;
  let rejections = 0;
  return {
    retryStrategy: (attempt) => {
      if (performance.now() - rejectedAt > CALM_MS) rejections = 0;
      if (isRejected) rejections += 1;
      isRejected = false;
      return Math.min(Math.max(attempt, rejections) * RECONNECT_STEP_MS, MAX_RECONNECT_DELAY_MS);
    },
    ...options,
    ...(reconnectOnError && {
      reconnectOnError: (error) => {
        const action = reconnectOnError(error);
        if (action) {
          [isRejected, rejectedAt] = [true, performance.now()];
          // The caller of a command that is sent again never sees this.
          onError(error);
        }
        return action;
      },
    }),
  };
}
