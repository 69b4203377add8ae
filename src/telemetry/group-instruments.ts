// Instruments of the process that supervises the workers of `serve --workers`.
import type { Instrument } from './instrument.ts';

export const GROUP_INSTRUMENTS = {
  workerUp: {
    name: 'latchkey.worker.up',
    type: 'gauge',
    across: 'each',
    unit: '{worker}',
    attributes: { worker: 'the number of the worker, from 0' },
    description:
      '1 while a worker of `serve --workers` answers its supervisor, 0 while it starts, hangs or is being replaced. The values of a worker that hangs are missing, and its counters stay.',
  },
  workerEnds: {
    name: 'latchkey.worker.ends',
    type: 'counter',
    unit: '{worker}',
    attributes: {},
    description: 'Workers of `serve --workers` that have ended before a stop, and were replaced.',
  },
} as const satisfies Record<string, Instrument>;
