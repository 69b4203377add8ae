// Faults of PgBouncer, and of Postgres behind it.
import type { Fault } from '../fault.ts';

const shape = { postgres: 'pooled' } as const;

export const poolerFaults: Fault[] = [
  {
    name: 'pooler-restarted',
    does: 'PgBouncer is killed and started again four seconds later',
    shape,
    holdSeconds: 4,
    inject: async ({ deployment }) => deployment.pooler?.kill(),
    heal: async ({ deployment }) => deployment.pooler?.start(),
  },
  {
    name: 'pooled-postgres-crashed',
    does: 'every process of Postgres behind PgBouncer is killed, and it recovers from its log',
    shape,
    holdSeconds: 1,
    inject: ({ deployment }) => deployment.postgres.primary.stop('SIGKILL'),
    heal: ({ deployment }) => deployment.postgres.primary.start(),
  },
];
