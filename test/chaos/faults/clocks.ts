// Faults of the clock of one machine.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Environment } from '../../../src/config/config.ts';
import { whyNoFaketime, withClock } from '../../support/faketime.ts';
import type { Fault, FaultContext } from '../fault.ts';
import type { ServiceNode } from '../service-node.ts';

async function restart(node: ServiceNode, environment: Environment): Promise<void> {
  await node.stop();
  await node.start({ environment });
}

/** The clock of one process is wrong by this much, from the injection to the healing. */
function clockOff(name: string, does: string, which: (context: FaultContext) => ServiceNode, offset: string): Fault {
  return {
    name,
    does,
    whyNot: whyNoFaketime,
    holdSeconds: 8,
    inject: async (context) => restart(which(context), await withClock({ FAKETIME: offset })),
    heal: (context) => restart(which(context), {}),
  };
}

/** The clock of one process jumps while it runs. */
async function jump({ deployment }: FaultContext): Promise<void> {
  const file = join(deployment.folder, 'clock');
  const set = (offset: string) => writeFileSync(file, `${offset}\n`);
  set('+0');
  const clock = { FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' };
  await restart(deployment.servers[1], await withClock(clock));
  for (const offset of ['+120s', '-120s', '+600s', '+0']) {
    await sleep(2_000);
    set(offset);
  }
}

const server = ({ deployment }: FaultContext) => deployment.servers[1];
const worker = ({ deployment }: FaultContext) => deployment.workers[1];

export const clockFaults: Fault[] = [
  clockOff('serve-clock-ahead', 'the clock of one serve process is five minutes ahead', server, '+300s'),
  clockOff('serve-clock-behind', 'the clock of one serve process is five minutes behind', server, '-300s'),
  clockOff('worker-clock-ahead', 'the clock of one worker process is five minutes ahead', worker, '+300s'),
  clockOff('worker-clock-month-ahead', 'the clock of one worker process is a month ahead', worker, '+31d'),
  {
    name: 'clock-jumps',
    does: 'the clock of one serve process jumps two minutes forward, four back, twelve forward, and is right again',
    whyNot: whyNoFaketime,
    holdSeconds: 2,
    inject: jump,
    heal: (context) => restart(server(context), {}),
  },
];
