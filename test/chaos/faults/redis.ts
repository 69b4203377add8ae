// Faults of Redis.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, FaultContext } from '../fault.ts';
import type { RedisServer } from '../redis-server.ts';
import { inMode } from './network.ts';

/** A lost job is delivered again a minute later. */
const AFTER_LOST_JOBS = { settleSeconds: 120 };
const sentinel = { redis: 'sentinel' } as const;
const cluster = { redis: 'cluster' } as const;

const first = ({ deployment }: FaultContext) => deployment.redis.servers[0] as RedisServer;

/** A setting of the server, from the injection to the healing. */
function configured(values: Record<string, string>, healthy: Record<string, string>): Pick<Fault, 'inject' | 'heal'> {
  const set = (all: Record<string, string>) => async (context: FaultContext) => {
    for (const [name, value] of Object.entries(all)) await first(context).command('CONFIG', 'SET', name, value);
  };
  return { inject: set(values), heal: set(healthy) };
}

/** Moves the slots of the first server that hold keys to the second one, as `redis-cli --cluster reshard` does. */
async function reshard({ deployment, note }: FaultContext): Promise<void> {
  const { servers, password } = deployment.redis;
  const [from, to] = servers as [RedisServer, RedisServer];
  const [fromId = '', toId = ''] = (await Promise.all([
    from.command('CLUSTER', 'MYID'),
    to.command('CLUSTER', 'MYID'),
  ])) as string[];
  const keys = await from.use((client) => client.keys('*'));
  const slots = new Set(await from.use((client) => Promise.all(keys.map((key) => client.cluster('KEYSLOT', key)))));
  for (const slot of slots) {
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
    const there = (await from.command('CLUSTER', 'GETKEYSINSLOT', slot, 10_000)) as string[];
    const target = ['127.0.0.1', to.port, '', 0, 5_000, 'AUTH', password, 'KEYS'];
    if (there.length > 0) await from.command('MIGRATE', ...target, ...there);
    for (const server of [to, from]) await server.command('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
  }
  note(`${slots.size} slots with keys were moved`);
}

export const redisFaults: Fault[] = [
  {
    name: 'redis-killed',
    does: 'Redis is killed and started again, empty, six seconds later',
    inject: (context) => first(context).kill(),
    heal: (context) => first(context).start(),
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-flushed',
    does: 'everything in Redis is deleted, five times',
    holdSeconds: 0,
    inject: async (context) => {
      for (let n = 0; n < 5; n += 1) {
        await first(context).command('FLUSHALL');
        await sleep(1_000);
      }
    },
    heal: async () => {},
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-hung',
    does: 'Redis hangs (SIGSTOP) for ten seconds',
    holdSeconds: 10,
    inject: async (context) => first(context).freeze(),
    heal: async (context) => first(context).thaw(),
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-full',
    evidence: /OOM/,
    does: 'Redis has no memory left and rejects writes',
    ...configured({ maxmemory: '1' }, { maxmemory: '0' }),
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-evicting',
    does: 'Redis has no memory left and evicts keys',
    ...configured(
      { 'maxmemory-policy': 'allkeys-random', maxmemory: '1' },
      { maxmemory: '0', 'maxmemory-policy': 'noeviction' },
    ),
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-read-only',
    evidence: /READONLY/,
    does: 'Redis is made a replica and answers READONLY to writes',
    inject: async (context) => void (await first(context).command('REPLICAOF', '127.0.0.1', 1)),
    heal: async (context) => void (await first(context).command('REPLICAOF', 'NO', 'ONE')),
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-partitioned',
    does: 'the network between every process and Redis swallows everything for ten seconds',
    holdSeconds: 10,
    ...inMode('redis', 'silent'),
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-refused',
    does: 'connections to Redis are cut and refused',
    ...inMode('redis', 'cut'),
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-swallowed',
    does: 'a firewall forgets every existing connection to Redis; new ones work',
    inject: async ({ deployment }) => {
      for (const { cables } of deployment.nodes) cables.redis.swallowAll();
    },
    heal: async () => {},
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-clients-killed',
    does: 'an administrator ends every connection to Redis, ten times',
    holdSeconds: 1,
    inject: async (context) => {
      for (let n = 0; n < 10; n += 1) {
        await first(context).command('CLIENT', 'KILL', 'TYPE', 'normal');
        await sleep(300);
      }
    },
    heal: async () => {},
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-failed-over',
    does: 'the master of a pair is killed, Sentinel promotes the replica, and the former master comes back',
    shape: sentinel,
    inject: (context) => first(context).kill(),
    heal: (context) => first(context).start(),
    destroys: true,
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-master-hung',
    does: 'the master of a pair hangs, Sentinel promotes the replica, and the former master wakes',
    shape: sentinel,
    holdSeconds: 8,
    inject: async (context) => first(context).freeze(),
    heal: async (context) => first(context).thaw(),
    destroys: true,
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-resharded',
    does: 'slots of a Cluster of three move from one server to another',
    shape: cluster,
    holdSeconds: 2,
    inject: reshard,
    heal: async () => {},
    ...AFTER_LOST_JOBS,
  },
  {
    name: 'redis-cluster-node-killed',
    does: 'one server of a Cluster of three is killed and started again six seconds later',
    shape: cluster,
    inject: (context) => first(context).kill(),
    heal: (context) => first(context).start(),
    destroys: true,
    ...AFTER_LOST_JOBS,
  },
];
