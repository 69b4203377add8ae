// Faults of the service's own processes.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../fault.ts';

export const processFaults: Fault[] = [
  {
    name: 'serve-killed',
    does: 'one serve process is killed and started again six seconds later',
    inject: ({ deployment }) => deployment.servers[0].kill(),
    heal: ({ deployment }) => deployment.servers[0].start(),
  },
  {
    name: 'worker-killed',
    does: 'both worker processes are killed in the middle of their jobs',
    inject: async ({ deployment }) => void (await Promise.all(deployment.workers.map((worker) => worker.kill()))),
    heal: async ({ deployment }) => void (await Promise.all(deployment.workers.map((worker) => worker.start()))),
  },
  {
    name: 'serve-stopped',
    does: 'one serve process hangs (SIGSTOP) for six seconds and continues',
    inject: async ({ deployment }) => deployment.servers[1].freeze(),
    heal: async ({ deployment }) => deployment.servers[1].thaw(),
  },
  {
    name: 'worker-stopped',
    does: 'one worker process hangs (SIGSTOP) for six seconds and continues',
    inject: async ({ deployment }) => deployment.workers[0].freeze(),
    heal: async ({ deployment }) => deployment.workers[0].thaw(),
  },
  {
    name: 'rolling-restart',
    does: 'every process is stopped with SIGTERM and started again, one after the other',
    holdSeconds: 0,
    inject: async ({ deployment }) => {
      for (const node of deployment.nodes) {
        await node.stop();
        await node.start();
      }
    },
    heal: async () => {},
  },
  {
    name: 'all-killed',
    does: 'every process is killed at the same moment and started again two seconds later',
    holdSeconds: 2,
    inject: async ({ deployment }) => void (await Promise.all(deployment.nodes.map((node) => node.kill()))),
    heal: async ({ deployment }) => void (await Promise.all(deployment.nodes.map((node) => node.start()))),
  },
  {
    name: 'serve-killed-repeatedly',
    does: 'each serve process is killed and started in turn, three times',
    holdSeconds: 0,
    inject: async ({ deployment }) => {
      for (let n = 0; n < 3; n += 1) {
        for (const server of deployment.servers) {
          await server.kill();
          await server.start();
          await sleep(500);
        }
      }
    },
    heal: async () => {},
  },
];
