// Real Redis servers in every topology that the service supports, on free ports of this machine.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { processEnvironment } from '../../src/config/config.ts';
import { findRedis } from '../../src/dev/embedded-redis.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { PROGRAM_CACHE } from '../../src/dev/settings.ts';
import type { Pair } from './certificates.ts';
import { eventually } from './eventually.ts';
import { run } from './processes.ts';

export type RedisServer = {
  port: number;
  url: string;
  /** The URL of a login with every privilege. */
  admin: Redis;
} & RedisProcess;

type RedisProcess = {
  /** Kills it without a shutdown. */
  kill(): Promise<void>;
  /** Stops it like a machine that vanishes: connections stay open and carry nothing. */
  freeze(): void;
};

/** Passwords of each server and Sentinel, and TLS with a certificate of this authority. */
export type Access = { password: string; authority: Pair; server: Pair };

/** Stops with the test. Resolves when it has loaded its data. @param settings lines of redis.conf */
export async function startRedisServer(
  settings: string[] = [],
  access?: Access,
  givenPort?: number,
): Promise<RedisServer> {
  const port = givenPort ?? (await freePort());
  const admin = connectTo(port, access);
  const program = await startProgram(port, settings, [], access);
  onTestFinished(() => admin.disconnect());
  await eventually(async () => (await admin.ping()) === 'PONG', 30_000);
  return { port, url: `redis://127.0.0.1:${port}`, admin, ...program };
}

/** A primary and its replica, in step. */
export async function startRedisPair(access?: Access): Promise<[primary: RedisServer, replica: RedisServer]> {
  const primary = await startRedisServer(['repl-diskless-sync-delay 0'], access);
  const replica = await startRedisServer([`replicaof 127.0.0.1 ${primary.port}`], access);
  await eventually(async () => (await replica.admin.info('replication')).includes('master_link_status:up'), 30_000);
  return [primary, replica];
}

/** Sentinels that agree with one another about a primary. Returns their ports. */
export async function startSentinels(
  count: number,
  masterName: string,
  primary: RedisServer,
  access?: Access,
): Promise<number[]> {
  const ports: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const port = await freePort();
    const settings = [
      `sentinel monitor ${masterName} 127.0.0.1 ${primary.port} ${Math.floor(count / 2) + 1}`,
      `sentinel down-after-milliseconds ${masterName} 1000`,
      `sentinel failover-timeout ${masterName} 5000`,
      ...(access ? [`sentinel auth-pass ${masterName} ${access.password}`] : []),
    ];
    await startProgram(port, settings, ['--sentinel'], access);
    ports.push(port);
  }
  for (const port of ports) {
    const sentinel = connectTo(port, access);
    onTestFinished(() => sentinel.disconnect());
    await eventually(async () => {
      const reply = (await sentinel.call('sentinel', 'master', masterName)) as string[];
      const value = (name: string) => Number(reply[reply.indexOf(name) + 1]);
      return value('num-other-sentinels') === count - 1 && value('num-slaves') >= 1;
    }, 30_000);
  }
  return ports;
}

const CLUSTER_SETTINGS = ['cluster-enabled yes', 'cluster-node-timeout 2000'];

/** Three primaries with a third of the slots each. */
export async function startRedisCluster(access?: Access): Promise<RedisServer[]> {
  const start = () => startRedisServer(CLUSTER_SETTINGS, access);
  const nodes = [await start(), await start(), await start()];
  const [first] = nodes as [RedisServer];
  const ranges = ['0-5460', '5461-10922', '10923-16383'].map((range) => range.split('-'));
  for (const [n, { admin, port }] of nodes.entries()) {
    await admin.call('cluster', 'addslotsrange', ...(ranges[n] as string[]));
    if (n > 0) await first.admin.call('cluster', 'meet', '127.0.0.1', String(port));
  }
  for (const { admin } of nodes) {
    await eventually(async () => {
      const info = String(await admin.call('cluster', 'info'));
      return info.includes('cluster_state:ok') && info.includes('cluster_size:3');
    }, 30_000);
  }
  return nodes;
}

/** A replica of one node, which the others promote when that node fails. */
export async function addClusterReplica(primary: RedisServer): Promise<RedisServer> {
  const replica = await startRedisServer(CLUSTER_SETTINGS);
  const id = String(await primary.admin.call('cluster', 'myid'));
  await replica.admin.call('cluster', 'meet', '127.0.0.1', String(primary.port));
  // Unknown until they have met.
  await eventually(() => replica.admin.call('cluster', 'replicate', id).catch(() => null), 30_000);
  await eventually(async () => (await replica.admin.info('replication')).includes('master_link_status:up'), 30_000);
  await eventually(async () => String(await replica.admin.call('cluster', 'info')).includes('cluster_size:3'), 30_000);
  return replica;
}

/** Moves a slot with its keys from one node of a cluster to another, as resharding does. */
export async function moveSlot(slot: number, from: RedisServer, to: RedisServer, all: RedisServer[]): Promise<void> {
  const idOf = async ({ admin }: RedisServer) => String(await admin.call('cluster', 'myid'));
  const [fromId, toId] = [await idOf(from), await idOf(to)];
  await to.admin.call('cluster', 'setslot', String(slot), 'importing', fromId);
  await from.admin.call('cluster', 'setslot', String(slot), 'migrating', toId);
  for (;;) {
    const keys = (await from.admin.call('cluster', 'getkeysinslot', String(slot), '100')) as string[];
    if (keys.length === 0) break;
    await from.admin.call('migrate', '127.0.0.1', String(to.port), '', '0', '5000', 'KEYS', ...keys);
  }
  for (const { admin } of [to, from, ...all]) await admin.call('cluster', 'setslot', String(slot), 'node', toId);
}

function connectTo(port: number, access?: Access): Redis {
  const login = access && { password: access.password, tls: { ca: access.authority.cert } };
  const options = { port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null, ...login };
  return new Redis(options).on('error', () => {});
}

function accessSettings(port: number, { password, authority, server }: Access): string[] {
  return [
    ...['port 0', `tls-port ${port}`, 'tls-auth-clients no', 'tls-replication yes', 'tls-cluster yes'],
    ...[`tls-ca-cert-file ${authority.certFile}`, `tls-cert-file ${server.certFile}`, `tls-key-file ${server.keyFile}`],
    `requirepass ${password}`,
  ];
}

/** Sentinels and nodes of a cluster write into their configuration and beside it. */
async function startProgram(port: number, settings: string[], args: string[], access?: Access): Promise<RedisProcess> {
  const { path, libraryPath } = await findRedis(processEnvironment().PATH ?? '', PROGRAM_CACHE);
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-redis-'));
  const file = join(folder, 'redis.conf');
  const reach = access ? accessSettings(port, access) : [`port ${port}`];
  const common = [...reach, 'bind 127.0.0.1', 'protected-mode no', `dir ${folder}`];
  const server = args.length > 0 ? [] : ['save ""', 'appendonly no', 'maxmemory-policy noeviction'];
  if (access && args.length === 0) server.push(`masterauth ${access.password}`);
  writeFileSync(file, [...common, ...server, ...settings, ''].join('\n'));
  const program = run(path, [file, ...args], { LD_LIBRARY_PATH: libraryPath });
  const kill = async () => {
    if (program.child.exitCode !== null || program.child.signalCode !== null) return;
    program.child.kill('SIGKILL');
    await once(program.child, 'close');
  };
  onTestFinished(async () => {
    await kill();
    rmSync(folder, { recursive: true, force: true });
  });
  return { kill, freeze: () => void program.child.kill('SIGSTOP') };
}
