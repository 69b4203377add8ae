// This child process runs at low priority, so that it delays no other call.
import { constants, setPriority } from 'node:os';
import { threadPoolHashing } from './hash-work.ts';
import type { Answer, Order } from './hashing-process.ts';

try {
  setPriority(constants.priority.PRIORITY_LOW);
} catch {
  // Without the permission, hashing has the normal priority.
}

process.on('message', async ({ id, task }: Order) => {
  const answer: Answer = await (task.kind === 'hash'
    ? threadPoolHashing.hash(task.password, task.parameters)
    : threadPoolHashing.compare(task.comparison)
  ).then(
    (result) => ({ id, result }),
    (error: Error) => ({ id, error: error.message }),
  );
  process.send?.(answer);
});

// A signal to the process group is for the parent process. This process ends when the parent does.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit());
