// The one place where things are made, top to bottom, and closed in reverse.
import type { Logger } from 'pino';
import { v7 } from 'uuid';
import { listenProblem } from './assert-ports-free.ts';
import { atMostEvery } from './at-most-every.ts';
import { createDenials } from './auth/denials.ts';
import { createRoleReads } from './auth/role-reads.ts';
import { followChanges } from './changes/change-feed.ts';
import { createWatchers } from './changes/watchers.ts';
import type { Config } from './config.ts';
import type { Deps } from './deps.ts';
import { openMailer } from './jobs/mailer.ts';
import { openQueueRedis, openQueues } from './jobs/queues.ts';
import { startWorker } from './jobs/worker.ts';
import { createApiKeys } from './keys/api-keys.ts';
import { createCurrentKeys } from './keys/current-keys.ts';
import { createKeyRotation } from './keys/key-rotation.ts';
import { derivePurposeKeys } from './keys/purpose-keys.ts';
import { createServiceKeys } from './keys/service-keys.ts';
import { loadSigningKeys } from './keys/signing-keys.ts';
import { createLimiter } from './limits/limiter.ts';
import { createSessionUsers } from './limits/session-users.ts';
import { createProviders } from './oauth/providers.ts';
import { createBreachCheck } from './passwords/breached-passwords.ts';
import { loadCommonPasswords } from './passwords/common-passwords.ts';
import { followHashKinds } from './passwords/follow-hash-kinds.ts';
import { createHashQueue } from './passwords/hash-queue.ts';
import { openHashWorkshop } from './passwords/hash-workshop.ts';
import { createHasher } from './passwords/hasher.ts';
import { assertRedis } from './redis/assert-redis.ts';
import { impatient, openRedis } from './redis/open-redis.ts';
import { redisProblems } from './redis/redis-health.ts';
import { LIMIT_COMMANDS, QUEUE_COMMANDS } from './redis/required-commands.ts';
import { reportProcess } from './report-process.ts';
import { adminRoutes } from './server/admin-routes.ts';
import { createCallLog } from './server/call-log.ts';
import { createClientAddress, isIn } from './server/client-address.ts';
import { createConcurrencyLimit } from './server/concurrency-limit.ts';
import { createCorsHandler } from './server/cors.ts';
import { extAuthzRoutes } from './server/ext-authz.ts';
import { createFairSlots } from './server/fair-slots.ts';
import { createForwardAuthHandler } from './server/forward-auth.ts';
import { createLeanRpc } from './server/lean/lean-rpc.ts';
import { listen } from './server/listener.ts';
import { createOAuthTokenHandler } from './server/oauth-token.ts';
import { createPlainHttpHandler } from './server/plain-http.ts';
import { createReadiness } from './server/readiness.ts';
import { createRpcHandler } from './server/rpc.ts';
import { createStandardServices } from './server/standard-services.ts';
import { createUnknownGrpcMethodHandler } from './server/unknown-grpc-method.ts';
import { openWorkerProbes } from './server/worker-probes.ts';
import { createChanges } from './store/changes.ts';
import { type Db, databaseOf } from './store/database.ts';
import { createDatabaseClock, type DatabaseClock } from './store/database-clock.ts';
import { createDatabaseCheck } from './store/database-problems.ts';
import { listenForChanges } from './store/listen.ts';
import { createPrimaryGuard, type PrimaryGuard } from './store/primary-guard.ts';
import { openPrimaryPool } from './store/primary-pool.ts';
import { createProcesses } from './store/processes.ts';
import { assertServiceRole } from './store/service-role.ts';
import { createStore } from './store/store.ts';
import type { Metrics } from './telemetry/metrics.ts';
import { startTelemetry } from './telemetry/telemetry.ts';
import { type Tracing, UNTRACED } from './telemetry/tracing.ts';
import { createRevocationView } from './verifier/revocation-view.ts';
import { createVerifier } from './verifier/verifier.ts';
import { within } from './within.ts';

export type Parts = {
  /** Answers calls. */
  api: boolean;
  /** Sends mail and writes audit events. */
  worker: boolean;
};

export type App = {
  /** Where calls are answered; 0 without the API. */
  port: number;
  /** Where Prometheus asks; 0 without. */
  metricsPort: number;
  /** Where the probes of a worker are answered; 0 without. */
  healthPort: number;
  /** Probes report from now on that the service stops. Calls are still answered. */
  stopServing(): void;
  /** Finishes what is under way, for as long as the configured grace, and closes everything. */
  close(): Promise<void>;
};

/** For what waits for a dependency that is away. */
const FORCED_CLOSE_MS = 2_000;
/** How long a call waits for Redis to count it. */
const LIMIT_TIMEOUT_MS = 1_000;
/** How long a probe waits for Redis. */
const PROBE_TIMEOUT_MS = 1_000;
/**
 * What one round of the outbox relay may take besides its three statements while Postgres and Redis are unavailable: connecting
 * three times, and two commands of Redis.
 */
const LONGEST_WAITS_MS = 35_000;
/** A Redis that is away says so with every attempt to reach it. */
const ERROR_LINE_EVERY_MS = 10_000;

/** Requests of one process whose body has not arrived; each holds 64 KiB at the most. */
const MAX_WAITING = 1_000;
/** Answers of one process that have not been read; each holds 64 KiB at the most, of a batch 1 MiB. */
const MAX_UNREAD = 1_000;
/** How long a body may take to arrive, or an answer to be read, while more than half of those are waiting. */
const WAIT_UNDER_PRESSURE_MS = 2_000;
/** Streams of one process that callers without credentials hold open. */
const MAX_PUBLIC_STREAMS = 1_000;

/** What both parts stand on. */
type Base = Pick<Deps, 'store' | 'purposeKeys' | 'signingKeys' | 'keyRotation' | 'now' | 'newId'> & {
  config: Config;
  log: Logger;
  /** For errors that come by the dozen: a line now and then. */
  complain(about: string): (error: unknown) => void;
  metrics: Metrics;
  tracing: Tracing | null;
  traced: Tracing['traced'];
  /** A pool of the service's database, under a name for the metrics. */
  connect(name: string, poolSize: number): Db;
  db: Db;
  guard: PrimaryGuard;
  clockAheadMs: DatabaseClock['aheadMs'];
  /** Does to the signing keys what the time has come for. */
  rotateKeys: () => Promise<number>;
  graceMs: number;
};

/** @param clock instead of Postgres's */
export async function startApp(config: Config, parts: Parts, log: Logger, clock?: () => Date): Promise<App> {
  // What has been made is closed again if something after it fails.
  await using started = new AsyncDisposableStack();
  const newId = () => v7();
  const graceMs = config.SHUTDOWN_GRACE_SECONDS * 1000;

  const complain = (about: string) => atMostEvery(ERROR_LINE_EVERY_MS, (err: unknown) => log.warn({ err }, about));

  const telemetry = await startTelemetry(config.telemetry, complain('telemetry')).catch((error) => {
    throw listenProblem({ key: 'METRICS_PORT', host: '', port: 0, ...config.telemetry.prometheus }, error);
  });
  started.defer(() => within(FORCED_CLOSE_MS, telemetry.close()));
  const { metrics, tracing } = telemetry;
  const { traced } = tracing ?? UNTRACED;

  const databaseClock = createDatabaseClock();
  const now = clock ?? databaseClock.now;
  metrics.watchClock(databaseClock.aheadMs);
  const guard = createPrimaryGuard({
    onTakeOver: ({ timeline, lostWalBytes }) =>
      log.warn({ timeline, lost_wal_bytes: lostWalBytes }, 'another Postgres server is the primary now'),
    onClock: databaseClock.observe,
  });
  const connect = (name: string, poolSize: number) => {
    const onError = (err: Error) => log.warn({ err }, 'Postgres connection lost');
    const statementTimeoutMs = config.DATABASE_STATEMENT_TIMEOUT_MS;
    const pool = openPrimaryPool({ url: config.DATABASE_URL, poolSize, statementTimeoutMs, guard }, onError);
    const database = databaseOf(pool, tracing?.query);
    started.defer(() => within(FORCED_CLOSE_MS, database.destroy()));
    metrics.watchPool(name, pool.use);
    return database;
  };
  const db = connect('calls', config.DATABASE_POOL_SIZE);
  await assertServiceRole(db);

  const store = createStore(db, newId, now);
  const purposeKeys = derivePurposeKeys(config.masterKeys);
  const encryptionKeys = purposeKeys.signingKeyEncryption;
  const keyRotation = createKeyRotation({ store: store.signingKeys, encryptionKeys, now });
  const rotateKeys = () => keyRotation.advance(config.keyPolicy);
  // By the worker too, which must not send tokens made with another MASTER_KEY.
  const signingKeys = await loadSigningKeys(store.signingKeys, rotateKeys, encryptionKeys);

  const base: Base = {
    config,
    log,
    complain,
    metrics,
    tracing,
    traced,
    connect,
    db,
    guard,
    clockAheadMs: databaseClock.aheadMs,
    store,
    purposeKeys,
    signingKeys,
    keyRotation,
    rotateKeys,
    graceMs,
    now,
    newId,
  };
  await assertRedis(config.REDIS_URL, [...(parts.api ? LIMIT_COMMANDS : []), ...(parts.worker ? QUEUE_COMMANDS : [])]);
  const report = { processes: createProcesses(db), id: newId(), parts, clockAheadMs: base.clockAheadMs };
  const stopReporting = reportProcess(report, log);
  started.defer(() => within(FORCED_CLOSE_MS, stopReporting()));
  const worker = parts.worker ? await startWorkerPart(base, started) : null;
  const api = parts.api ? await startApiPart(base, started) : null;
  // Beside the API there is no need for them: it answers the same probes.
  const probes = worker && !api ? await startWorkerProbes(base, worker, started) : null;
  const running = started.move();
  return {
    port: api?.port ?? 0,
    metricsPort: telemetry.port,
    healthPort: probes?.port ?? 0,
    stopServing() {
      api?.stopServing();
      probes?.stopServing();
    },
    close: () => running.disposeAsync(),
  };
}

type RunningWorker = { lastTurnAt(): number; isRedisReady(): Promise<boolean> };
/** A part that probes ask about. */
type Probed = { port: number; stopServing(): void };

/** Mail and audit events. */
async function startWorkerPart(base: Base, started: AsyncDisposableStack): Promise<RunningWorker> {
  const { config, log, complain, metrics, tracing, traced, store, purposeKeys, rotateKeys, graceMs, now } = base;
  const onQueueError = complain('Redis (queues)');
  const redis = openQueueRedis(config.REDIS_URL, onQueueError);
  started.defer(() => redis.disconnect());
  const queues = openQueues(config.REDIS_URL, onQueueError);
  started.defer(() => within(FORCED_CLOSE_MS, queues.close()));
  const mailer = openMailer(config.mailer);
  started.defer(() => mailer.close());
  metrics.watchOutbox(() => store.outbox.backlog(now()));
  const worker = await startWorker(
    {
      store,
      redis,
      queues,
      mailer: traced('mailer', mailer),
      backoffMs: config.JOB_BACKOFF_MS,
      mailRetryForMs: config.MAIL_RETRY_FOR_SECONDS * 1000,
      metrics,
      tracing: tracing ?? UNTRACED,
      rotateKeys,
      resetTokenKeys: purposeKeys.resetTokens,
      verificationTokenKeys: purposeKeys.verificationTokens,
      networkTokenKeys: purposeKeys.networkTokens,
      undoTokenKeys: purposeKeys.undoTokens,
      publicUrl: config.PUBLIC_URL,
      resetTtlSeconds: config.RESET_TTL_SECONDS,
      verificationTtlSeconds: config.VERIFICATION_TTL_SECONDS,
      anchorEveryMs: config.AUDIT_ANCHOR_SECONDS * 1000,
      anchorFile: config.AUDIT_ANCHOR_FILE ?? null,
      now,
    },
    log,
    onQueueError,
  );
  started.defer(() => worker.close(graceMs));
  return {
    lastTurnAt: worker.lastTurnAt,
    async isRedisReady() {
      let answers = false;
      const ping = async () => {
        answers = (await redis.ping()) === 'PONG';
      };
      if (redis.status === 'ready')
        await within(
          PROBE_TIMEOUT_MS,
          ping().catch(() => {}),
        );
      return answers;
    },
  };
}

/** Null without HEALTH_PORT. */
async function startWorkerProbes(
  { config, db, signingKeys, clockAheadMs }: Base,
  worker: RunningWorker,
  started: AsyncDisposableStack,
): Promise<Probed | null> {
  const { HOST: host, HEALTH_PORT: port, DATABASE_STATEMENT_TIMEOUT_MS: statementMs } = config;
  if (port === undefined) return null;
  const readiness = createReadiness({
    databaseProblems: createDatabaseCheck(db),
    keyProblem: signingKeys.problem,
    clockAheadMs,
    // A worker is not ready without Redis.
    redisProblems: async () => [],
  });
  const probes = await openWorkerProbes({
    host,
    port,
    lastTurnAt: worker.lastTurnAt,
    longestTurnMs: LONGEST_WAITS_MS + 3 * statementMs,
    async readiness() {
      const [{ problems }, redisAnswers] = await Promise.all([readiness.check(), worker.isRedisReady()]);
      const all = redisAnswers ? problems : [...problems, 'Redis does not answer'];
      return { ready: all.length === 0, problems: all, degraded: [] };
    },
  }).catch((error) => {
    throw listenProblem({ key: 'HEALTH_PORT', host, port }, error);
  });
  started.defer(() => probes.close());
  started.defer(readiness.stop);
  return { port: probes.port, stopServing: readiness.stop };
}

/** Everything that answers calls. */
async function startApiPart(base: Base, started: AsyncDisposableStack): Promise<Probed> {
  const { config, log, complain, metrics, tracing, traced, connect, guard, clockAheadMs } = base;
  const { db, store, purposeKeys, signingKeys, keyRotation, graceMs, now, newId } = base;
  const limitRedisOptions = { connectionName: 'latchkey-limits', ...impatient(LIMIT_TIMEOUT_MS) };
  const redis = openRedis(config.REDIS_URL, limitRedisOptions, complain('Redis (limits)'));
  started.defer(() => redis.disconnect());
  // So that the first calls are counted there; without it they are counted here.
  await within(LIMIT_TIMEOUT_MS, new Promise((resolve) => redis.once('ready', resolve)));
  const onFallback = complain('Redis does not answer: limits are counted in this process');
  const limiter = createLimiter(redis, config.limits, { onFallback, onTaken: metrics.limitTaken, now });
  const hashQueue = createHashQueue({
    concurrency: config.HASH_CONCURRENCY,
    maxWaiting: config.HASH_QUEUE_LENGTH,
    maxWaitMs: config.HASH_QUEUE_WAIT_MS,
    onDone: metrics.hashed,
  });
  metrics.watchHashQueue(hashQueue.tasks);
  const workshop = openHashWorkshop(config.HASH_CONCURRENCY, (err) => log.error({ err }, 'hashing'));
  started.defer(() => workshop.close());
  const hasher = createHasher(
    {
      memoryKib: config.ARGON2_MEMORY_KIB,
      iterations: config.ARGON2_ITERATIONS,
      parallelism: config.ARGON2_PARALLELISM,
    },
    hashQueue,
    workshop,
  );
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
  const view = createRevocationView();
  metrics.watchView(view);
  const currentKeys = createCurrentKeys({
    signingKeys,
    mayBeOld: () => view.ageMs() > config.REVOCATION_MAX_AGE_MS,
    onReload: () => verifier.useKeys(signingKeys.verificationKeys()),
    onForeign: complain('a signing key that is to come does not open'),
  });
  const verifier = createVerifier({
    issuer: config.ISSUER,
    keys: signingKeys.verificationKeys(),
    revalidateSeconds: config.VERIFY_REVALIDATE_SECONDS,
    view,
    maxViewAgeMs: config.REVOCATION_MAX_AGE_MS,
    ask: (of, signal) => store.sessions.standings(of, now(), signal),
    refreshKeys: currentKeys.reload,
    cacheBytes: config.TOKEN_CACHE_MB * 1024 * 1024,
    now,
  });
  metrics.watchTokenCache(verifier.cachedBytes);
  const onFeedError = complain('the feed of revocations is behind');
  // On a connection of its own: calls that wait for the others must not make it wait.
  const changes = createChanges(connect('changes', 1));
  const changeFeed = await followChanges(
    {
      changes,
      view,
      reloadKeys: currentKeys.reload,
      pollMs: config.REVOCATION_POLL_MS,
      now,
    },
    onFeedError,
  );
  started.defer(() => within(FORCED_CLOSE_MS, changeFeed.close()));
  if (config.DATABASE_LISTEN_URL !== null) {
    const listening = listenForChanges({
      url: config.DATABASE_LISTEN_URL,
      guard,
      notify: changes.notify,
      onChange: changeFeed.wake,
      onError: onFeedError,
    });
    started.defer(() => within(FORCED_CLOSE_MS, listening.close()));
  }
  const denials = createDenials({ store, now });
  const roleReads = createRoleReads({ store, now });
  started.defer(() => within(FORCED_CLOSE_MS, roleReads.close()));
  const closing = new AbortController();
  const apiKeys = createApiKeys(store.serviceAccounts);
  const deps: Deps = {
    store,
    denials,
    roleReads,
    apiKeys,
    limiter: traced('limiter', limiter),
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
    changeFeed,
    watchers: createWatchers({ changes: store.changes, feed: changeFeed, now }),
    signingKeys: { ...signingKeys, sign: currentKeys.sign },
    keyRotation,
    purposeKeys,
    requiresVerifiedEmail: config.REQUIRE_EMAIL_VERIFICATION === 'on',
    reauthenticationSeconds: config.REAUTHENTICATION_SECONDS,
    providers: createProviders(config.providers, clockAheadMs),
    passwordPolicy: {
      minLength: config.PASSWORD_MIN_LENGTH,
      isCommon: loadCommonPasswords(),
      contextWords: config.PASSWORD_CONTEXT_WORDS,
    },
    isBreached: createBreachCheck(config.PASSWORD_BREACH_RANGES ?? null, (err) => {
      log.error({ err }, 'a range file of breached passwords is unreadable: the password was not checked against it');
      metrics.breachCheckFailed();
    }),
    tokenSettings: {
      issuer: config.ISSUER,
      audiences: config.AUDIENCE,
      accessTtlSeconds: config.ACCESS_TOKEN_TTL_SECONDS,
      serviceTokenTtlSeconds: config.SERVICE_TOKEN_TTL_SECONDS,
      sessionIdleSeconds: config.SESSION_IDLE_SECONDS,
      sessionMaxSeconds: config.SESSION_MAX_SECONDS,
      maxSessionsPerUser: config.MAX_SESSIONS_PER_USER,
    },
    apiKeyMaxDays: config.API_KEY_MAX_DAYS,
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
  const serviceKeys = createServiceKeys(config.SERVICE_KEYS);
  const clientAddress = createClientAddress(config.TRUSTED_PROXIES);
  const calls = { clientAddress, tracing };
  const lean = createLeanRpc({ verifier, serviceKeys, apiKeys, denials, callLog, clientAddress });
  const standard = createStandardServices(readiness.check, config.GRPC_REFLECTION);
  const slots = {
    concurrencyLimit: createConcurrencyLimit(),
    waiting: createFairSlots({ capacity: MAX_WAITING, maxHoldUnderPressureMs: WAIT_UNDER_PRESSURE_MS }),
    unread: createFairSlots({ capacity: MAX_UNREAD, maxHoldUnderPressureMs: WAIT_UNDER_PRESSURE_MS }),
    publicStreams: createFairSlots({ capacity: MAX_PUBLIC_STREAMS, maxHoldUnderPressureMs: Number.POSITIVE_INFINITY }),
  };
  const rpc = createRpcHandler({ ...deps, ...calls, ...slots, serviceKeys }, callLog, [
    adminRoutes(deps),
    extAuthzRoutes(deps),
    ...standard.routes,
  ]);
  const plainHttp = createPlainHttpHandler(signingKeys, currentKeys.areCurrent, config.keyPolicy, readiness.check);
  const listener = await listen(
    {
      host: config.HOST,
      port: config.PORT,
      maxConnectionsPerPeer: config.MAX_CONNECTIONS_PER_PEER,
      lifetime: {
        maxAgeMs: config.MAX_CONNECTION_AGE_SECONDS * 1000,
        graceMs: config.MAX_CONNECTION_AGE_GRACE_SECONDS * 1000,
        pingEveryMs: config.KEEPALIVE_SECONDS * 1000,
        pingTimeoutMs: config.KEEPALIVE_TIMEOUT_SECONDS * 1000,
      },
      tls: config.tls,
      isProxy: config.PROXY_PROTOCOL === 'on' ? (address) => isIn(config.TRUSTED_PROXIES, address) : () => false,
      onTlsProblem: (err) => log.error({ err }, 'the certificate was not renewed'),
    },
    lean,
    [
      createCorsHandler(config.CORS_ORIGINS),
      rpc,
      createForwardAuthHandler({ ...deps, ...calls }, callLog),
      createOAuthTokenHandler({ ...deps, ...calls, ...slots }, callLog),
      plainHttp,
      createUnknownGrpcMethodHandler(callLog, calls),
    ],
  ).catch((error) => {
    throw listenProblem({ key: 'PORT', host: config.HOST, port: config.PORT }, error);
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
