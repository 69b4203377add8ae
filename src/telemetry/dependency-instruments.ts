// Instruments of Postgres, Redis and the SMTP server, as this service uses them.
import { ATTR_DB_SYSTEM_NAME, ATTR_ERROR_TYPE } from '@opentelemetry/semantic-conventions';
import type { Instrument } from './instrument.ts';

const POOL = { 'db.client.connection.pool.name': 'calls, or changes for the revocation feed' };
const DATABASE_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const MAIL_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600];

export const DEPENDENCY_INSTRUMENTS = {
  dependencyUp: {
    name: 'latchkey.dependency.up',
    type: 'gauge',
    across: 'min',
    unit: '{dependency}',
    attributes: { dependency: 'postgres, redis or smtp' },
    description:
      '1 when the last use succeeded, 0 when it failed. The SMTP server has a value after the first e-mail; it is up when it answers, also with a rejection.',
  },
  databaseDuration: {
    name: 'db.client.operation.duration',
    type: 'histogram',
    unit: 's',
    attributes: {
      [ATTR_DB_SYSTEM_NAME]: 'postgresql, or redis for the commands of rate limits',
      [ATTR_ERROR_TYPE]: 'only after a failure: the condition of Postgres, the code of the system, or _OTHER',
    },
    description: 'Duration of statements, of failed connections, and of commands for rate limits.',
    buckets: DATABASE_BUCKETS,
  },
  mailDuration: {
    name: 'latchkey.mail.duration',
    type: 'histogram',
    unit: 's',
    attributes: { outcome: 'sent, rejected by an answer of the SMTP server, or failed without one' },
    description: 'Duration of attempts to hand an e-mail to the SMTP server.',
    buckets: MAIL_BUCKETS,
  },
  poolCount: {
    name: 'db.client.connection.count',
    type: 'level',
    unit: '{connection}',
    attributes: { ...POOL, 'db.client.connection.state': 'used or idle' },
    description: 'Connections to Postgres.',
  },
  poolMax: {
    name: 'db.client.connection.max',
    type: 'level',
    unit: '{connection}',
    attributes: POOL,
    description: 'Maximum number of connections to Postgres.',
  },
  poolPending: {
    name: 'db.client.connection.pending_requests',
    type: 'level',
    unit: '{request}',
    attributes: POOL,
    description: 'Requests that wait for a connection to Postgres.',
  },
} as const satisfies Record<string, Instrument>;
