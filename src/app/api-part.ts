import { waitAtMost } from '../async/wait-at-most.ts';
import { createDenials } from '../authorization/denials.ts';
import { createRoleReads } from '../authorization/role-reads.ts';
import type { Deps } from '../deps.ts';
import { createApiKeys } from '../keys/api-keys.ts';
import { createServiceKeys } from '../keys/service-keys.ts';
import { createSessionUsers } from '../limits/session-users.ts';
import { createProviders } from '../oauth/providers.ts';
import { createBreachCheck } from '../passwords/breached-passwords.ts';
import { loadCommonPasswords } from '../passwords/common-passwords.ts';
import { followPolicyFile } from '../policy/follow-policy-file.ts';
import type { RoutePolicy } from '../policy/route-policy.ts';
import type { RedisClient } from '../redis/connect-redis.ts';
import { redisProblems } from '../redis/redis-health.ts';
import { createWatchers } from '../revocation-feed/watchers.ts';
import { createCallLog } from '../server/calls/call-log.ts';
import { createProbesHandler } from '../server/endpoints/probes.ts';
import { createReadiness } from '../server/endpoints/readiness.ts';
import { createStandardServices } from '../server/rpc/standard-services.ts';
import { startServer } from '../server/server.ts';
import { createClientAddress, isIn } from '../server/transport/client-address.ts';
import type { Handler } from '../server/transport/handler.ts';
import { createDatabaseCheck } from '../store/postgres/database-problems.ts';
import { listenProblem } from './assert-ports-free.ts';
import { type Base, FORCED_CLOSE_MS, type Probed } from './base.ts';
import { connectLimits, REDIS_ANSWERS_MS } from './limits.ts';
import { startPasswordHashing } from './password-hashing.ts';
import { startProbeServer } from './start-probe-server.ts';
import { startVerification } from './verification.ts';

/** `adminPort` is 0 without LISTEN_ADMIN. */
type ApiPart = Probed & { adminPort: number; healthPort: number };

export async function startApiPart(base: Base, pages: Handler, started: AsyncDisposableStack): Promise<ApiPart> {
  const { config, log, metrics, traced, clockAheadMs } = base;
  const { store, purposeKeys, signingKeys, keyRotation, now, newId } = base;
  const { redis, limiter, knownNetworks, countedLimits } = await connectLimits(base, started);
  const hasher = await startPasswordHashing(base, started);
  const { verifier, revocationFeed } = await startVerification(base, started);
  const denials = createDenials({ store, now });
  const roleReads = createRoleReads({ store, now });
  started.defer(() => waitAtMost(FORCED_CLOSE_MS, roleReads.close()));
  const closing = new AbortController();
  const apiKeys = createApiKeys(store.serviceAccounts);
  const serviceKeys = createServiceKeys(config.keys.serviceKeys, now);
  metrics.watchServiceKeys(serviceKeys.uses);
  const deps: Deps = {
    // Calls share a statement, which is part of one of their traces only.
    store: { ...store, rotations: traced('rotations', store.rotations) },
    denials,
    roleReads,
    apiKeys,
    serviceKeys,
    limiter: traced('limiter', limiter),
    countedLimits,
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
    ...config.accounts,
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
    browserSessions: config.browserSessions,
    relyingParty: config.relyingParty,
    tokenSettings: config.tokens,
    closing: closing.signal,
    now,
    newId,
  };
  return startApiServer(base, deps, { closing, redis, pages }, started);
}

async function startApiServer(
  base: Base,
  deps: Deps,
  { closing, redis, pages }: { closing: AbortController; redis: RedisClient; pages: Handler },
  started: AsyncDisposableStack,
): Promise<ApiPart> {
  const { config, log, metrics, tracing, clockAheadMs, db, signingKeys, graceMs } = base;
  const readiness = createReadiness({
    databaseProblems: createDatabaseCheck(db),
    keyProblem: signingKeys.problem,
    clockAheadMs,
    redisProblems: () => redisProblems(redis, REDIS_ANSWERS_MS),
  });
  const callLog = createCallLog(log, metrics, tracing, deps.verifier.explain);
  started.defer(() => callLog.close());
  const clientAddress = createClientAddress(config.http.trustedProxies);
  const standard = createStandardServices(readiness.check);
  const policy = await followPolicy(base, started);
  const serverDeps = { ...deps, clientAddress, tracing, callLog, policy };
  const { host, port, listenAdmin } = config.http;
  const address = { host, port, shared: 'PORT' } as const;
  const probes = createProbesHandler({ readiness: readiness.check, build: config.process.build });
  // Closed after the API, so that HEALTH_PORT answers during the whole stop.
  const probeServer = started.use(new AsyncDisposableStack());
  const listener = await startServer(serverDeps, {
    listenAdmin: listenAdmin && { ...listenAdmin, shared: 'LISTEN_ADMIN' },
    corsOrigins: config.http.corsOrigins,
    standardServices: standard,
    hasPublicReflection: config.http.hasPublicReflection,
    keyPolicy: config.keys.policy,
    probes,
    pages,
    listener: {
      address,
      maxConnectionsPerPeer: config.http.maxConnectionsPerPeer,
      lifetime: config.http.lifetime,
      tls: config.http.tls,
      isProxy: config.http.usesProxyProtocol ? (address) => isIn(config.http.trustedProxies, address) : () => false,
      onTlsProblem: (err) => log.error({ err }, 'the certificate was not renewed'),
      onDefect: (err) => log.error({ err }, 'a defect has ended a connection'),
    },
  }).catch((error) => {
    const isAdmin = listenAdmin !== null && (error as { port?: unknown }).port === listenAdmin.port;
    throw listenProblem(isAdmin ? { key: 'LISTEN_ADMIN', ...listenAdmin } : { key: 'PORT', ...address }, error);
  });
  metrics.watchConnections(listener.connections);
  if (config.http.tls) {
    metrics.watchCertificate(() => (listener.certificateExpiresAt()?.getTime() ?? Number.NaN) - deps.now().getTime());
  }
  started.defer(() => listener.close(graceMs));
  const healthPort = await startProbeServer(config.http, probes, probeServer);
  started.defer(() => deps.watchers.close());
  started.defer(() => closing.abort());
  const stopServing = () => {
    readiness.stop();
    standard.stop();
  };
  started.defer(standard.close);
  started.defer(stopServing);
  return { port: listener.port, adminPort: listener.adminPort, healthPort: healthPort ?? 0, stopServing };
}

/** @throws OperatorError when the file cannot be used */
async function followPolicy(
  { config, log, metrics }: Base,
  started: AsyncDisposableStack,
): Promise<(() => RoutePolicy) | null> {
  const path = config.http.policyFile;
  if (path === null) return null;
  const followed = await followPolicyFile({
    path,
    onChange: () => log.info('the policy file has changed and is in use'),
    onRejected: (problems) => log.error({ problems }, 'the policy file was rejected; the former policy stays in use'),
  });
  metrics.watchPolicyFile(followed.isOutdated);
  started.defer(() => followed.close());
  return followed.current;
}
