// Faults in which another Postgres server becomes the primary.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, FaultContext } from '../fault.ts';
import type { PostgresServer } from '../postgres-server.ts';
import type { ServiceNode } from '../service-node.ts';
import { setting } from './postgres.ts';

/** New connections go to this server; existing ones stay. */
function lead(nodes: ServiceNode[], { port }: PostgresServer): void {
  for (const { cables } of nodes) cables.postgres.target = port;
}

/** Shuts the primary down cleanly and promotes the standby. */
async function switchOver({ deployment }: FaultContext): Promise<PostgresServer> {
  const { postgres } = deployment;
  await postgres.addStandby();
  await postgres.untilInStep();
  await postgres.primary.stop('SIGINT');
  const { former } = await postgres.promoteStandby();
  return former;
}

async function leadAllToPrimary({ deployment }: FaultContext): Promise<void> {
  lead(deployment.nodes, deployment.postgres.primary);
}

/** The standby receives nothing for a time, and then the primary fails permanently. */
async function loseLatestCommits({ deployment, note }: FaultContext): Promise<void> {
  const { postgres } = deployment;
  await postgres.addStandby();
  await postgres.untilInStep();
  postgres.replication.mode = 'silent';
  await sleep(2_000);
  await postgres.primary.stop('SIGKILL');
  postgres.replication.mode = 'cut';
  postgres.replication.cutAll();
  await postgres.promoteStandby();
  note('the standby lacked two seconds of transactions');
}

/** A copy that is four seconds old replaces the primary. */
async function restoreOlderCopy({ deployment, note }: FaultContext): Promise<void> {
  const { postgres } = deployment;
  const copy = await postgres.addStandby();
  await postgres.untilInStep();
  await copy.stop('SIGINT');
  await sleep(4_000);
  await postgres.primary.stop('SIGINT');
  await copy.start();
  await postgres.promoteStandby();
  note('the copy was four seconds old');
}

export const failoverFaults: Fault[] = [
  {
    name: 'failover',
    does: 'the primary stops in good order, the standby is promoted, and its name follows at once',
    holdSeconds: 1,
    inject: async (context) => {
      await switchOver(context);
      await leadAllToPrimary(context);
    },
    heal: async () => {},
    destroys: true,
  },
  {
    name: 'failover-name-lags',
    does: 'the same, the former primary is back as a standby, and its name leads there for eight seconds',
    holdSeconds: 8,
    inject: async (context) => context.deployment.postgres.readmit(await switchOver(context)),
    heal: leadAllToPrimary,
    revocationBoundMs: 5_500,
    destroys: true,
  },
  {
    name: 'failover-half-way',
    does: 'the same, and one serve and one worker process are led to the former primary, which lags, for eight seconds',
    holdSeconds: 8,
    inject: async (context) => {
      const { postgres, servers, workers } = context.deployment;
      const former = await switchOver(context);
      await postgres.readmit(former, { settings: { recovery_min_apply_delay: '60s' } });
      lead([servers[0], workers[0]], postgres.primary);
    },
    heal: leadAllToPrimary,
    revocationBoundMs: 5_500,
    destroys: true,
  },
  {
    name: 'failover-two-hosts',
    does: 'DATABASE_URL names both servers, the standby is promoted, and the former primary is back as a standby',
    shape: { postgres: 'two-hosts' },
    inject: async (context) => context.deployment.postgres.readmit(await switchOver(context)),
    heal: async () => {},
    destroys: true,
  },
  {
    name: 'failover-with-loss',
    does: 'the primary is lost for good, and the standby that is promoted lacks its latest transactions',
    holdSeconds: 1,
    inject: loseLatestCommits,
    heal: leadAllToPrimary,
    losesCommittedData: true,
    destroys: true,
  },
  {
    name: 'restored',
    does: 'the database is restored to a moment four seconds ago',
    holdSeconds: 1,
    inject: restoreOlderCopy,
    heal: leadAllToPrimary,
    losesCommittedData: true,
    destroys: true,
  },
  synchronousStandbyGone(),
];

function synchronousStandbyGone(): Fault {
  const about = {
    name: 'sync-standby-gone',
    does: 'commits wait for a synchronous standby that has stopped',
    destroys: true,
  };
  const { inject, heal } = setting(about, 'synchronous_standby_names', 'standby');
  return {
    ...about,
    holdSeconds: 8,
    inject: async (context) => {
      const standby = await context.deployment.postgres.addStandby();
      await context.deployment.postgres.untilInStep();
      await inject(context);
      await standby.stop('SIGINT');
    },
    heal,
  };
}
