// Faults of the network between the processes, their dependencies and their clients.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cable } from '../../support/cable.ts';
import type { Fault, FaultContext } from '../fault.ts';
import type { Cables, ServiceNode } from '../service-node.ts';

type Nodes = (context: FaultContext) => ServiceNode[];

const all: Nodes = ({ deployment }) => deployment.nodes;
const secondServer: Nodes = ({ deployment }) => [deployment.servers[1]];

/** Cables in a mode, from the injection to the healing. */
export function inMode(to: keyof Cables, mode: 'silent' | 'cut', nodes: Nodes = all): Pick<Fault, 'inject' | 'heal'> {
  const set = (one: 'open' | 'silent' | 'cut') => async (context: FaultContext) => {
    for (const { cables } of nodes(context)) {
      cables[to].mode = one;
      if (one === 'cut') cables[to].cutAll();
    }
  };
  return { inject: set(mode), heal: set('open') };
}

type Quality = Partial<Pick<Cable, 'latencyMs' | 'bytesPerSecond'>>;
const PERFECT: Quality = { latencyMs: null, bytesPerSecond: Number.POSITIVE_INFINITY };

/** Cables of a quality, from the injection to the healing. */
function ofQuality(quality: Quality, choose: (node: ServiceNode) => Cable[]): Pick<Fault, 'inject' | 'heal'> {
  const set =
    (one: Quality) =>
    async ({ deployment }: FaultContext) => {
      for (const cable of deployment.nodes.flatMap(choose)) Object.assign(cable, one);
    };
  return { inject: set(quality), heal: set(PERFECT) };
}

/** A lost packet arrives after its retransmission. */
const lossy = (share: number) => () => (Math.random() < share ? 200 + Math.random() * 800 : 1);

/** An event that repeats while the fault lasts. */
function again(everyMs: number, act: (context: FaultContext, n: number) => void): Pick<Fault, 'inject' | 'heal'> {
  let timer: NodeJS.Timeout | undefined;
  const stop = async () => clearInterval(timer);
  return {
    inject: async (context) => {
      let n = 0;
      context.afterwards(stop);
      timer = setInterval(() => act(context, n++), everyMs);
    },
    heal: stop,
  };
}

const WITHOUT_POSTGRES = {
  holdSeconds: 10,
  withoutPostgres: ['serve-1', 'serve-2'],
  revocationBoundMs: 5_500,
} satisfies Partial<Fault>;

export const networkFaults: Fault[] = [
  {
    name: 'postgres-partitioned',
    does: 'the network between every process and Postgres swallows everything for ten seconds',
    ...inMode('postgres', 'silent'),
    ...WITHOUT_POSTGRES,
  },
  {
    name: 'one-server-partitioned',
    does: 'one serve process cannot reach Postgres for ten seconds; the others can',
    ...inMode('postgres', 'silent', secondServer),
    ...WITHOUT_POSTGRES,
    withoutPostgres: ['serve-2'],
  },
  {
    name: 'postgres-refused',
    does: 'connections to Postgres are cut and refused for ten seconds',
    ...inMode('postgres', 'cut'),
    ...WITHOUT_POSTGRES,
  },
  {
    name: 'connections-cut',
    does: 'connections to Postgres are cut one by one, every fifty milliseconds',
    ...again(50, ({ deployment }, n) => deployment.nodes[n % deployment.nodes.length]?.cables.postgres.cutOldest()),
  },
  {
    name: 'connections-swallowed',
    does: 'a firewall forgets every existing connection to Postgres; new ones work',
    inject: async ({ deployment }) => {
      for (const { cables } of deployment.nodes) cables.postgres.swallowAll();
    },
    heal: async () => {},
    revocationBoundMs: 5_500,
  },
  {
    name: 'connections-half-closed',
    does: 'every existing connection to Postgres is half-closed',
    holdSeconds: 3,
    inject: async ({ deployment }) => {
      for (const { cables } of deployment.nodes) cables.postgres.halfCloseAll();
    },
    heal: async () => {},
  },
  {
    name: 'postgres-far-away',
    does: 'each message to and from Postgres takes 40 milliseconds',
    ...ofQuality({ latencyMs: () => 40 }, ({ cables }) => [cables.postgres]),
    revocationBoundMs: 2_000,
  },
  {
    name: 'narrow-network',
    does: 'each connection to Postgres carries 50 kB a second',
    ...ofQuality({ bytesPerSecond: 50_000 }, ({ cables }) => [cables.postgres]),
    revocationBoundMs: 2_000,
  },
  {
    name: 'packet-loss',
    does: 'two of a hundred packets between the processes and their dependencies arrive up to a second late',
    ...ofQuality({ latencyMs: lossy(0.02) }, ({ cables }) => Object.values(cables)),
    revocationBoundMs: 3_000,
  },
  {
    name: 'clients-cut',
    does: 'connections of clients and of the local verifier are cut, every 200 milliseconds',
    ...again(200, ({ deployment }, n) => deployment.servers[n % 2]?.front.cutAll()),
  },
  {
    name: 'clients-swallowed',
    does: 'a firewall forgets every existing connection of clients and of the local verifier',
    inject: async ({ deployment }) => {
      for (const { front } of deployment.servers) front.swallowAll();
      await sleep(100);
    },
    heal: async () => {},
    // The verifier cannot distinguish this from a quiet time until its revocation view is too old.
    revocationBoundMs: 5_500,
  },
];
