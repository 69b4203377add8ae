// A primary and, where a fault needs one, a standby that streams from it.
import { join } from 'node:path';
import { type Cable, layCable } from '../support/cable.ts';
import { eventually } from '../support/eventually.ts';
import {
  becomeStandby,
  copyAsStandby,
  createPostgres,
  type PostgresServer,
  promote,
  type StartOptions,
  untilInStep,
} from './postgres-server.ts';

export type PostgresPair = {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer | null;
  /** Between the standby and the primary. */
  replication: Cable;
  addStandby(): Promise<PostgresServer>;
  /** Promotes the standby. The former primary stays as it is. */
  promoteStandby(): Promise<{ former: PostgresServer }>;
  /** Brings the former primary, which has stopped, back as a standby. */
  readmit(former: PostgresServer, options?: StartOptions): Promise<void>;
  /** Waits until the standby has all that the primary has. */
  untilInStep(): Promise<void>;
  stop(): Promise<void>;
};

export async function createPair(folder: string): Promise<PostgresPair> {
  let primary = await createPostgres(join(folder, 'postgres-1'));
  let standby: PostgresServer | null = null;
  await primary.start();
  const replication = await layCable(primary.port);
  const known = new Set([primary]);

  return {
    get primary() {
      return primary;
    },
    get standby() {
      return standby;
    },
    replication,
    async addStandby() {
      if (standby?.isRunning()) return standby;
      standby = await copyAsStandby(primary, join(folder, `postgres-${known.size + 1}`), replication.port);
      known.add(standby);
      await standby.start();
      await eventually(
        async () => (await primary.query('SELECT FROM pg_stat_replication', [], 'postgres')).length === 1,
        30_000,
      );
      return standby;
    },
    async promoteStandby() {
      if (!standby) throw new Error('there is no standby to promote');
      const former = primary;
      await promote(standby);
      primary = standby;
      standby = null;
      return { former };
    },
    async readmit(former, options) {
      replication.target = primary.port;
      replication.cutAll();
      becomeStandby(former, primary, replication.port);
      await former.start(options);
      standby = former;
    },
    async untilInStep() {
      if (standby?.isRunning()) await untilInStep(primary, standby);
    },
    async stop() {
      for (const server of known) {
        server.thaw();
        await server.stop('SIGKILL');
      }
      await replication.close();
    },
  };
}
