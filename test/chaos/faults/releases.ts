// Faults of the rollout of the service.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault, FaultContext } from '../fault.ts';
import { runCommand } from '../operator.ts';
import { oldRevision } from '../releases.ts';

/** Migrates the database and replaces one process after the other, the servers last. */
async function upgrade({ deployment, note }: FaultContext): Promise<void> {
  const { environment, servers, workers } = deployment;
  note(`from ${(await oldRevision())?.slice(0, 12)}`);
  await runCommand({ environment }, 'migrate');
  for (const node of [...workers, ...servers]) {
    await node.stop();
    await node.start();
    await sleep(1_000);
  }
}

export const releaseFaults: Fault[] = [
  {
    name: 'other-master-key',
    does: 'one serve process is started with another MASTER_KEY',
    inject: async ({ deployment, note }) => {
      const [, server] = deployment.servers;
      await server.stop();
      const environment = { MASTER_KEY: randomBytes(32).toString('base64') };
      await server.start({ environment }).then(
        () => note('it started'),
        (error: Error) => note(`it did not start: ${error.message.split('\n')[1] ?? error.message}`),
      );
    },
    heal: async ({ deployment }) => {
      const [, server] = deployment.servers;
      await server.stop();
      await server.start();
    },
  },
  {
    name: 'rolling-upgrade',
    does: 'the database is migrated from an older revision under load, and each process is replaced by the present one',
    shape: { release: 'old' },
    whyNot: async () => ((await oldRevision()) ? null : 'it needs the history of a clone, and an older revision in it'),
    holdSeconds: 1,
    inject: upgrade,
    heal: async () => {},
    destroys: true,
  },
];
