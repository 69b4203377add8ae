// Everything that a fault can befall: Postgres, Redis, PgBouncer, a mail server, two serve and two worker processes.
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Environment } from '../../src/config.ts';
import { LIMITS } from '../../src/limits/limits.ts';
import { prepareDatabase } from '../../src/store/prepare-database.ts';
import { type MailSink, openMailSink } from './mail-sink.ts';
import { createPooler, type Pooler } from './pooler.ts';
import { createPair, type PostgresPair } from './postgres-pair.ts';
import { type RedisGroup, type RedisKind, startRedis } from './redis-servers.ts';
import { type Cables, createNode, type ServiceNode } from './service-node.ts';

export type Shape = {
  redis: RedisKind;
  /** Through PgBouncer, by one URL, or by one URL with two hosts. */
  postgres: 'direct' | 'pooled' | 'two-hosts';
};

export type Deployment = {
  shape: Shape;
  folder: string;
  postgres: PostgresPair;
  redis: RedisGroup;
  pooler: Pooler | null;
  mailSink: MailSink;
  /** Two that serve. */
  servers: [ServiceNode, ServiceNode];
  workers: [ServiceNode, ServiceNode];
  nodes: ServiceNode[];
  /** Runs an operator's command to its end and returns its output. */
  environment: Environment;
  serviceKey: string;
  stop(): Promise<void>;
};

/** The checkout that runs this. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const LOGIN = 'chaos_service';

export async function startDeployment(shape: Shape): Promise<Deployment> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-chaos-'));
  chmodSync(folder, 0o755);
  const stops: (() => Promise<void>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const one of stops.splice(0).toReversed()) await one();
  };
  try {
    const mailSink = await openMailSink();
    stops.push(() => mailSink.close());
    const redis = await startRedis(shape.redis, folder);
    stops.push(() => redis.stop());
    const postgres = await createPair(folder);
    stops.push(() => postgres.stop());
    const password = randomBytes(24).toString('base64url');
    const loginUrl = (port: number) => `postgres://${LOGIN}:${password}@127.0.0.1:${port}/latchkey`;
    await prepareDatabase(postgres.primary.url('latchkey'), loginUrl(postgres.primary.port));
    if (shape.postgres === 'two-hosts') await postgres.addStandby();
    const { port: postgresPort } = postgres.primary;
    const pooler =
      shape.postgres === 'pooled' ? await createPooler(join(folder, 'pooler'), LOGIN, password, postgresPort) : null;
    await pooler?.start();
    if (pooler) stops.push(() => pooler.kill());

    const serviceKey = randomBytes(32).toString('hex');
    const common = commonEnvironment(serviceKey);
    const environment = (cables: Cables): Environment => ({
      ...common,
      ...databaseUrls(shape, cables, loginUrl),
      REDIS_URL: redis.url(cables.redis.port),
      SMTP_URL: `smtp://127.0.0.1:${cables.smtp.port}`,
    });
    const targets = {
      postgres: postgresPort,
      standby: postgres.standby?.port ?? postgresPort,
      pooler: pooler?.port ?? 0,
      redis: redis.servers[0]?.port ?? 0,
      smtp: mailSink.port,
    };
    const node = (kind: 'serve' | 'worker', n: number) =>
      createNode({ name: `${kind}-${n}`, kind, root: ROOT, targets, environment });
    const servers: Deployment['servers'] = [await node('serve', 1), await node('serve', 2)];
    const workers: Deployment['workers'] = [await node('worker', 1), await node('worker', 2)];
    const nodes = [...servers, ...workers];
    stops.push(async () => void (await Promise.all(nodes.map((one) => one.close()))));
    await Promise.all(nodes.map((one) => one.start()));
    const direct = {
      DATABASE_URL: loginUrl(postgresPort),
      REDIS_URL: redis.url(targets.redis),
      SMTP_URL: `smtp://127.0.0.1:${mailSink.port}`,
    };
    return {
      shape,
      folder,
      postgres,
      redis,
      pooler,
      mailSink,
      servers,
      workers,
      nodes,
      environment: { ...common, ...direct },
      serviceKey,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function databaseUrls(shape: Shape, cables: Cables, loginUrl: (port: number) => string): Environment {
  const direct = loginUrl(cables.postgres.port);
  if (shape.postgres === 'pooled') return { DATABASE_URL: loginUrl(cables.pooler.port), DATABASE_LISTEN_URL: direct };
  if (shape.postgres === 'direct') return { DATABASE_URL: direct };
  const hosts = `127.0.0.1:${cables.postgres.port},127.0.0.1:${cables.standby.port}`;
  return { DATABASE_URL: `${direct.replace(/127\.0\.0\.1:\d+/, hosts)}?target_session_attrs=read-write` };
}

/** Cheap hashes, wide limits, and retries that a row has time for. Everything else is as a deployment has it. */
function commonEnvironment(serviceKey: string): Environment {
  return {
    HOST: '127.0.0.1',
    LOG_LEVEL: 'info',
    PUBLIC_URL: 'https://product.example',
    MAIL_FROM: 'no-reply@product.example',
    MASTER_KEY: randomBytes(32).toString('base64'),
    SERVICE_KEYS: `gateway=${serviceKey}`,
    ARGON2_MEMORY_KIB: '256',
    ARGON2_ITERATIONS: '1',
    JOB_BACKOFF_MS: '200',
    JOB_MAX_ATTEMPTS: '30',
    REAUTHENTICATION_SECONDS: '3600',
    SHUTDOWN_GRACE_SECONDS: '5',
    SHUTDOWN_DELAY_SECONDS: '1',
    ...Object.fromEntries(Object.keys(LIMITS).map((name) => [`LIMIT_${name}`, '1000000/60'])),
  };
}
