// The process in which passwords are hashed (hashing-process.ts starts it). Nobody waits for it but those who sign in: on a core
// that others want it runs last.
import { constants, setPriority } from 'node:os';
import { workHere } from './hash-work.ts';
import type { Answer, Order } from './hashing-process.ts';

try {
  setPriority(constants.priority.PRIORITY_LOW);
} catch {
  // Where the system does not let it, hashing is as important as everything else.
}

process.on('message', async ({ id, task }: Order) => {
  const answer: Answer = await (task.kind === 'hash'
    ? workHere.hash(task.password, task.parameters)
    : workHere.compare(task.comparison)
  ).then(
    (result) => ({ id, result }),
    (error: Error) => ({ id, error: error.message }),
  );
  process.send?.(answer);
});

// A signal to all of the group is for the process that this one belongs to, and it ends with it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit());
