// Everything that a fault can affect: Postgres, Redis, PgBouncer, a mail server, two serve and two worker processes.
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Environment } from '../../src/config/config.ts';
import { LIMITS } from '../../src/limits/limits.ts';
import { type MailSink, openMailSink } from './mail-sink.ts';
import { ROOT, runCommand } from './operator.ts';
import { createPooler, type Pooler } from './pooler.ts';
import { createPair, type PostgresPair } from './postgres-pair.ts';
import { type RedisGroup, type RedisKind, startRedis } from './redis-group.ts';
import { oldRevision, unpackRevision } from './releases.ts';
import { createNode, type Dependency, type ServiceNode } from './service-node.ts';

export type Shape = {
  redis: RedisKind;
  /** The connection to Postgres: through PgBouncer, by one URL, or by one URL with two hosts. */
  postgres: 'direct' | 'pooled' | 'two-hosts';
  /** The release that the row begins with. */
  release: 'present' | 'old';
};

export type Deployment = {
  shape: Shape;
  folder: string;
  postgres: PostgresPair;
  redis: RedisGroup;
  pooler: Pooler | null;
  mailSink: MailSink;
  /** The two `serve` processes. */
  servers: [ServiceNode, ServiceNode];
  workers: [ServiceNode, ServiceNode];
  nodes: ServiceNode[];
  /** For an operator's commands: without the cables, and as the owner of the schema. */
  environment: Environment;
  serviceKey: string;
  stop(): Promise<void>;
};

const LOGIN = 'chaos_service';

export async function startDeployment(shape: Shape): Promise<Deployment> {
  await using stack = new AsyncDisposableStack();
  const folder = temporaryFolder(stack);
  const backends = await startBackends(shape, folder, stack);
  const { postgres, redis, pooler, mailSink, loginUrl } = backends;
  const { port: postgresPort } = postgres.primary;
  const targets = {
    postgres: postgresPort,
    standby: postgres.standby?.port ?? postgresPort,
    pooler: pooler?.port ?? 0,
    redis: redis.servers[0]?.port ?? 0,
    smtp: mailSink.port,
  };
  const serviceKey = randomBytes(32).toString('hex');
  const common = commonEnvironment(serviceKey);
  const onPorts = (ports: Record<Dependency, number>): Environment => ({
    ...common,
    ...databaseUrls(shape, ports, loginUrl),
    REDIS_URL: redis.url(ports.redis),
    SMTP_URL: `smtp://127.0.0.1:${ports.smtp}`,
  });
  const environment = {
    ...onPorts(targets),
    DATABASE_URL: loginUrl(postgresPort),
    MIGRATION_DATABASE_URL: postgres.primary.url('latchkey'),
  };
  const root = await rootOf(shape, folder);
  await runCommand({ environment, root }, 'migrate', '--service-login');
  await pooler?.start();
  const { servers, workers } = await startNodes({ root, targets, environment: onPorts }, stack);
  const owned = stack.move();
  const stop = () => owned.disposeAsync();
  const nodes = [...servers, ...workers];
  return { shape, folder, postgres, redis, pooler, mailSink, servers, workers, nodes, environment, serviceKey, stop };
}

function temporaryFolder(stack: AsyncDisposableStack): string {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-chaos-'));
  chmodSync(folder, 0o755);
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  stack.defer(() => {
    process.off('exit', remove);
    remove();
  });
  return folder;
}

async function startBackends(shape: Shape, folder: string, stack: AsyncDisposableStack) {
  const mailSink = stack.adopt(await openMailSink(), (sink) => sink.close());
  const redis = stack.adopt(await startRedis(shape.redis, folder), (group) => group.stop());
  const postgres = stack.adopt(await createPair(folder), (pair) => pair.stop());
  if (shape.postgres === 'two-hosts') await postgres.addStandby();
  const password = randomBytes(24).toString('base64url');
  const loginUrl = (port: number) => `postgres://${LOGIN}:${password}@127.0.0.1:${port}/latchkey`;
  const pooler =
    shape.postgres === 'pooled'
      ? await createPooler(join(folder, 'pooler'), LOGIN, password, postgres.primary.port)
      : null;
  stack.defer(async () => pooler?.kill());
  return { mailSink, redis, postgres, pooler, loginUrl };
}

async function rootOf({ release }: Shape, folder: string): Promise<string> {
  if (release === 'present') return ROOT;
  const revision = await oldRevision();
  if (revision === null) throw new Error('there is no older revision to begin with');
  return unpackRevision(revision, folder);
}

type NodeParts = Pick<Parameters<typeof createNode>[0], 'targets' | 'environment'> & { root: string };

async function startNodes(
  { root, ...parts }: NodeParts,
  stack: AsyncDisposableStack,
): Promise<Pick<Deployment, 'servers' | 'workers'>> {
  const create = async (kind: 'serve' | 'worker', n: number) =>
    stack.adopt(await createNode({ ...parts, name: `${kind}-${n}`, kind }), (node) => node.close());
  const servers: Deployment['servers'] = [await create('serve', 1), await create('serve', 2)];
  const workers: Deployment['workers'] = [await create('worker', 1), await create('worker', 2)];
  await Promise.all([...servers, ...workers].map((node) => node.start({ root })));
  return { servers, workers };
}

function databaseUrls(
  shape: Shape,
  ports: Record<Dependency, number>,
  loginUrl: (port: number) => string,
): Environment {
  const direct = loginUrl(ports.postgres);
  if (shape.postgres === 'pooled') return { DATABASE_URL: loginUrl(ports.pooler), DATABASE_LISTEN_URL: direct };
  if (shape.postgres === 'direct') return { DATABASE_URL: direct };
  const hosts = `127.0.0.1:${ports.postgres},127.0.0.1:${ports.standby}`;
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
    REAUTHENTICATION_SECONDS: '3600',
    SHUTDOWN_GRACE_SECONDS: '5',
    SHUTDOWN_DELAY_SECONDS: '1',
    MAX_CONNECTIONS_PER_PEER: '5000',
    ...Object.fromEntries(Object.keys(LIMITS).map((name) => [`LIMIT_${name}`, '1000000/60'])),
  };
}
