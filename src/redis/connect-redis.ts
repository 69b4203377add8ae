import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { OperatorError } from '../process/operator-error.ts';
import { parseRedisUrl, REDIS_URL_FORMS, type RedisAddress } from './parse-redis-url.ts';

export type RedisClient = Redis | Cluster;
export type Options = Omit<RedisOptions, 'replyMapping'>;

const RECONNECT_STEP_MS = 100;
const MAX_RECONNECT_DELAY_MS = 2_000;
/** After this long without a rejected command, the next reconnection is fast again. */
const CALM_MS = 10_000;
const CONNECT_TIMEOUT_MS = 2_000;
const KEEPALIVE_MS = 5_000;
/** A connection is replaced when a reply takes longer. Blocking commands must be shorter. */
const SILENCE_MS = 5_000;

/**
 * The server is not the primary, and the address soon leads to another server. Redis 6 has the word inside the text.
 */
const NOT_PRIMARY = /(?:^|\s-)(?:READONLY|LOADING|MASTERDOWN|UNBLOCKED)\b/;
/** The server can accept the command later. */
const REJECTED = /(?:^|\s-)(?:OOM|MISCONF|NOREPLICAS|NOPERM|NOAUTH|BUSY)\b/;

/** Returns a connection that always reconnects. @throws OperatorError when the URL has no known form */
export function connectRedis(url: string, options: Options, onError: (error: Error) => void): RedisClient {
  const address = parseRedisUrl(url);
  if (!address) throw new OperatorError(`REDIS_URL ${REDIS_URL_FORMS}`);
  const timeouts = { connectTimeout: CONNECT_TIMEOUT_MS, socketTimeout: SILENCE_MS };
  const paced = withPace({ ...loginOf(address), ...timeouts, ...options }, onError);
  const client =
    address.kind === 'cluster' ? connectCluster(address, paced, onError) : new Redis(withServers(address, paced));
  return client.on('error', onError);
}

/** Options for commands that a caller waits for: without a connection they fail at once and are not queued. */
export function failFast(commandTimeoutMs: number): Options {
  return {
    commandTimeout: commandTimeoutMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    reconnectOnError: ({ message }) => NOT_PRIMARY.test(message),
  };
}

/** Options for commands that must succeed: the client sends them again until a server executes them. */
export function retryForever(): Options {
  return {
    maxRetriesPerRequest: null,
    reconnectOnError: ({ message }) => (NOT_PRIMARY.test(message) || REJECTED.test(message) ? 2 : false),
  };
}

/** Options for every server. They require no privilege that a restricted login can lack. */
export function loginOf({ username, password, db, isEncrypted }: RedisAddress): Options {
  return {
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
    ...(isEncrypted && { tls: {} }),
    db,
    keepAlive: KEEPALIVE_MS,
    // The check requires INFO, which managed services deny. NOT_PRIMARY handles LOADING.
    enableReadyCheck: false,
    disableClientInfo: true,
  };
}

export function withServers(address: RedisAddress, options: Options): Options {
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

function connectCluster({ hosts }: RedisAddress, options: Options, onError: (error: Error) => void): Cluster {
  const { enableOfflineQueue = true, retryStrategy, ...redisOptions } = options;
  const cluster = new Cluster(hosts, {
    redisOptions,
    enableOfflineQueue,
    clusterRetryStrategy: (attempt) => retryStrategy?.(attempt),
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    // Certificates are verified against host names, so these must not be resolved here.
    dnsLookup: (host, callback) => callback(null, host),
    enableReadyCheck: false,
  });
  return cluster.on('node error', onError);
}

/** The delay grows while the server answers but rejects commands. */
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
          // The caller of a command that is sent again does not receive this error.
          onError(error);
        }
        return action;
      },
    }),
  };
}
