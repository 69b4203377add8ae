// The part of the service that answers calls.

import { waitAtMost } from '../async/wait-at-most.ts';
import { createDenials } from '../authorization/denials.ts';
import { createRoleReads } from '../authorization/role-reads.ts';
import type { Deps } from '../deps.ts';
import { createApiKeys } from '../keys/api-keys.ts';
import { createServiceKeys } from '../keys/service-keys.ts';
import { createKnownNetworks } from '../limits/known-networks.ts';
import { createLimiter } from '../limits/limiter.ts';
import { createRedisFallback } from '../limits/redis-fallback.ts';
import { createSessionUsers } from '../limits/session-users.ts';
import { createProviders } from '../oauth/providers.ts';
import { createBreachCheck } from '../passwords/breached-passwords.ts';
import { loadCommonPasswords } from '../passwords/common-passwords.ts';
import { followHashKinds } from '../passwords/follow-hash-kinds.ts';
import { createHashQueue } from '../passwords/hash-queue.ts';
import { createHasher } from '../passwords/hasher.ts';
import { startHashingProcess } from '../passwords/hashing-process.ts';
import { listenProblem } from '../process/assert-ports-free.ts';
import { impatient, openRedis } from '../redis/open-redis.ts';
import { redisProblems } from '../redis/redis-health.ts';
import { followRevocationEvents } from '../revocation-feed/revocation-feed.ts';
import { createWatchers } from '../revocation-feed/watchers.ts';
import { createCallLog } from '../server/calls/call-log.ts';
import { createJwksAndProbesHandler } from '../server/endpoints/jwks-and-probes.ts';
import { createReadiness } from '../server/endpoints/readiness.ts';
import { createStandardServices } from '../server/rpc/standard-services.ts';
import { startServer } from '../server/server.ts';
import { createClientAddress, isIn } from '../server/transport/client-address.ts';
import { createDatabaseCheck } from '../store/postgres/database-problems.ts';
import { listenForNotifications } from '../store/postgres/listen.ts';
import { createRevocationEvents } from '../store/revocation-events.ts';
import { readRevocationStatuses } from '../store/revocation-statuses.ts';
import { createVerifier } from '../verifier/verifier.ts';
import { type Base, FORCED_CLOSE_MS, type Probed } from './base.ts';

/** How long a call waits for Redis to count it. */
const LIMIT_TIMEOUT_MS = 1_000;

/** Everything that answers calls. */
export async function startApiPart(base: Base, started: AsyncDisposableStack): Promise<Probed> {
  const { config, log, complain, metrics, tracing, traced, connect, guard, clockAheadMs } = base;
  const { db, store, purposeKeys, signingKeys, view, keyRotation, graceMs, now, newId } = base;
  const limitRedisOptions = { connectionName: 'latchkey-limits', ...impatient(LIMIT_TIMEOUT_MS) };
  const redis = openRedis(config.redisUrl, limitRedisOptions, complain('Redis (limits)'));
  started.defer(() => redis.disconnect());
  // So that the first calls are counted there; without it they are counted here.
  await waitAtMost(LIMIT_TIMEOUT_MS, new Promise((resolve) => redis.once('ready', resolve)));
  const fallback = createRedisFallback(complain('Redis does not answer: limits are counted in this process'));
  const limiter = createLimiter({ redis, fallback, limits: config.limits, onTaken: metrics.limitTaken });
  const knownNetworks = createKnownNetworks({ redis, fallback, now });
  const hashQueue = createHashQueue({
    concurrency: config.passwords.hashQueue.concurrency,
    maxWaiting: config.passwords.hashQueue.maxWaiting,
    maxWaitMs: config.passwords.hashQueue.maxWaitMs,
    onDone: metrics.hashed,
  });
  metrics.watchHashQueue(hashQueue.tasks);
  const hashing = startHashingProcess(config.passwords.hashQueue.concurrency, (err) => log.error({ err }, 'hashing'));
  started.defer(() => hashing.close());
  const hasher = createHasher(config.passwords.argon2, hashQueue, hashing);
  const stopFollowing = await followHashKinds(hasher, {
    read: store.users.samplesOfHashKinds,
    onTooCostly: (kinds) =>
      log.warn(
        { hash_kinds: kinds.join(' ') },
        'failed sign-ins to accounts with these password hashes take longer than others',
      ),
    onError: complain('the kinds of password hashes in use cannot be read'),
  });
  started.defer(stopFollowing);
  metrics.watchView(view);
  const verifier = createVerifier({
    issuer: config.tokens.issuer,
    keys: signingKeys.verificationKeys(),
    revalidateSeconds: config.verifier.revalidateSeconds,
    view,
    maxViewAgeMs: config.verifier.maxViewAgeMs,
    readStatuses: (tokens, signal) => readRevocationStatuses(db, tokens, { at: now(), signal }),
    refreshKeys: signingKeys.reload,
    cacheBytes: config.verifier.cacheBytes,
    now,
  });
  signingKeys.onReload(verifier.useKeys);
  metrics.watchTokenCache(verifier.cachedBytes);
  const onFeedError = complain('the feed of revocations is behind');
  // On a connection of its own: calls that wait for the others must not make it wait.
  const revocationEvents = createRevocationEvents(connect('changes', 1));
  const revocationFeed = await followRevocationEvents(
    {
      revocationEvents,
      view,
      reloadKeys: signingKeys.reload,
      pollMs: config.verifier.pollMs,
      now,
    },
    onFeedError,
  );
  started.defer(() => waitAtMost(FORCED_CLOSE_MS, revocationFeed.close()));
  if (config.database.listenUrl !== null) {
    const listening = listenForNotifications({
      url: config.database.listenUrl,
      guard,
      notify: revocationEvents.notify,
      onNotification: revocationFeed.wake,
      onError: onFeedError,
    });
    started.defer(() => waitAtMost(FORCED_CLOSE_MS, listening.close()));
  }
  const denials = createDenials({ store, now });
  const roleReads = createRoleReads({ store, now });
  started.defer(() => waitAtMost(FORCED_CLOSE_MS, roleReads.close()));
  const closing = new AbortController();
  const apiKeys = createApiKeys(store.serviceAccounts);
  const deps: Deps = {
    store,
    denials,
    roleReads,
    apiKeys,
    limiter: traced('limiter', limiter),
    knownNetworks: traced('known networks', knownNetworks),
    sessionUsers: createSessionUsers(),
    hasher: traced('hasher', hasher),
    onUnreadableHash: (userId) => {
      log.error(
        { user_id: userId },
        'the stored password hash of an account is unreadable: its owner needs a new password',
      );
      metrics.hashUnreadable();
    },
    verifier,
    revocationFeed,
    watchers: createWatchers({ revocationEvents: store.revocationEvents, feed: revocationFeed, now }),
    signingKeys,
    keyRotation,
    purposeKeys,
    requiresVerifiedEmail: config.accounts.requiresVerifiedEmail,
    reauthenticationSeconds: config.accounts.reauthenticationSeconds,
    providers: createProviders(config.providers, clockAheadMs),
    passwordPolicy: {
      minLength: config.passwords.minLength,
      isCommon: loadCommonPasswords(),
      contextWords: config.passwords.contextWords,
    },
    isBreached: createBreachCheck(config.passwords.breachFolder, (err) => {
      log.error({ err }, 'a range file of breached passwords is unreadable: the password was not checked against it');
      metrics.breachCheckFailed();
    }),
    tokenSettings: config.tokens,
    apiKeyMaxDays: config.accounts.apiKeyMaxDays,
    closing: closing.signal,
    now,
    newId,
  };
  const readiness = createReadiness({
    databaseProblems: createDatabaseCheck(db),
    keyProblem: signingKeys.problem,
    clockAheadMs,
    redisProblems: () => redisProblems(redis),
  });
  const callLog = createCallLog(log, metrics, tracing);
  started.defer(() => callLog.close());
  const serviceKeys = createServiceKeys(config.keys.serviceKeys);
  const clientAddress = createClientAddress(config.http.trustedProxies);
  const standard = createStandardServices(readiness.check, config.http.hasReflection);
  const jwksAndProbes = createJwksAndProbesHandler(signingKeys, config.keys.policy, readiness.check);
  const serverDeps = { ...deps, clientAddress, tracing, serviceKeys, callLog };
  const listener = await startServer(serverDeps, {
    corsOrigins: config.http.corsOrigins,
    standardServices: standard.routes,
    jwksAndProbes,
    listener: {
      host: config.http.host,
      port: config.http.port,
      maxConnectionsPerPeer: config.http.maxConnectionsPerPeer,
      lifetime: config.http.lifetime,
      tls: config.http.tls,
      isProxy: config.http.usesProxyProtocol ? (address) => isIn(config.http.trustedProxies, address) : () => false,
      onTlsProblem: (err) => log.error({ err }, 'the certificate was not renewed'),
    },
  }).catch((error) => {
    throw listenProblem({ key: 'PORT', host: config.http.host, port: config.http.port }, error);
  });
  metrics.watchConnections(listener.connections);
  started.defer(() => listener.close(graceMs));
  started.defer(() => deps.watchers.close());
  started.defer(() => closing.abort());
  const stopServing = () => {
    readiness.stop();
    standard.stop();
  };
  started.defer(standard.close);
  started.defer(stopServing);
  return { port: listener.port, stopServing };
}
