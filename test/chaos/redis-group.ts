// The Redis of a deployment: one server, a replica pair with a Sentinel, or a Cluster of three.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { processEnvironment } from '../../src/config/config.ts';
import { findRedis } from '../../src/dev/embedded-redis.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import { eventually } from '../support/eventually.ts';
import { createRedisServer, type RedisServer } from './redis-server.ts';

export type RedisKind = 'standalone' | 'sentinel' | 'cluster';

export type RedisGroup = {
  kind: RedisKind;
  servers: RedisServer[];
  password: string;
  /** For REDIS_URL. @param port of the cable; used where the service connects to one server alone */
  url(port: number): string;
  stop(): Promise<void>;
};

const MASTER_NAME = 'latchkey';
const CLUSTER_SLOTS = 16_384;

export async function startRedis(kind: RedisKind, folder: string): Promise<RedisGroup> {
  const program = await findRedis(processEnvironment().PATH ?? '', PROGRAM_CACHE);
  const password = randomBytes(24).toString('base64url');
  const build: Build = (name, lines, isSentinel = false) =>
    createRedisServer({ program, password: isSentinel ? null : password, folder: join(folder, name), lines });
  if (kind === 'standalone') return startStandalone(await build('redis', []), password);
  return kind === 'sentinel' ? startSentinel(build, password) : startCluster(build, password);
}

type Build = (name: string, lines: string[], isSentinel?: boolean) => Promise<RedisServer>;

async function startStandalone(server: RedisServer, password: string): Promise<RedisGroup> {
  await server.start();
  return {
    kind: 'standalone',
    password,
    servers: [server],
    url: (port) => `redis://:${password}@127.0.0.1:${port}`,
    stop: () => server.kill(),
  };
}

async function startSentinel(build: Build, password: string): Promise<RedisGroup> {
  const master = await build('redis-1', []);
  await master.start();
  const replica = await build('redis-2', [`replicaof 127.0.0.1 ${master.port}`]);
  const sentinel = await build(
    'sentinel',
    [
      `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${master.port} 1`,
      `sentinel auth-pass ${MASTER_NAME} ${password}`,
      `sentinel down-after-milliseconds ${MASTER_NAME} 1000`,
      `sentinel failover-timeout ${MASTER_NAME} 5000`,
    ],
    true,
  );
  await replica.start();
  await sentinel.start();
  const servers = [master, replica, sentinel];
  await eventually(async () => String(await master.command('INFO', 'replication')).includes('state=online'), 30_000);
  await eventually(
    async () => JSON.stringify(await sentinel.command('SENTINEL', 'replicas', MASTER_NAME)).includes('name'),
    30_000,
  );
  return {
    kind: 'sentinel',
    password,
    servers,
    url: () => `redis+sentinel://:${password}@127.0.0.1:${sentinel.port}/${MASTER_NAME}`,
    stop: () => killAll(servers),
  };
}

async function startCluster(build: Build, password: string): Promise<RedisGroup> {
  const lines = ['cluster-enabled yes', 'cluster-node-timeout 2000', 'cluster-config-file nodes.conf'];
  const servers = await Promise.all([1, 2, 3].map((n) => build(`redis-${n}`, lines)));
  await Promise.all(servers.map((server) => server.start()));
  const [first] = servers as [RedisServer];
  const share = Math.ceil(CLUSTER_SLOTS / servers.length);
  for (const [index, server] of servers.entries()) {
    const last = Math.min(CLUSTER_SLOTS, (index + 1) * share) - 1;
    await server.command('CLUSTER', 'ADDSLOTSRANGE', index * share, last);
    if (server !== first) await server.command('CLUSTER', 'MEET', '127.0.0.1', first.port);
  }
  for (const server of servers) {
    await eventually(async () => String(await server.command('CLUSTER', 'INFO')).includes('cluster_state:ok'), 30_000);
  }
  return {
    kind: 'cluster',
    password,
    servers,
    url: () => `redis+cluster://:${password}@${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    stop: () => killAll(servers),
  };
}

async function killAll(servers: RedisServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.kill()));
}
