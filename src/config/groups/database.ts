import { integer } from '../formats.ts';
import { API, EVERY_PROCESS, type Keys, SERVICE, type Values } from '../key.ts';
import { databaseUrl, databaseUrlOr, redisUrl } from '../url-formats.ts';

/** The value of DATABASE_LISTEN_URL that switches LISTEN off. Revocations are then only polled. */
const NO_LISTENING = 'none';

export const DATABASE_KEYS = {
  DATABASE_URL: {
    format: databaseUrl,
    isRequired: true,
    isSecret: true,
    usedBy: EVERY_PROCESS,
    help: 'Postgres, with the login of the service; several hosts can be separated by commas.',
  },
  MIGRATION_DATABASE_URL: {
    format: databaseUrl,
    defaultText: 'DATABASE_URL',
    isSecret: true,
    usedBy: ['commands', 'dev'],
    help: 'The same database with the login that owns the schema, for migrate and "audit drop".',
  },
  DATABASE_LISTEN_URL: {
    format: databaseUrlOr(NO_LISTENING),
    defaultText: 'DATABASE_URL',
    isSecret: true,
    usedBy: API,
    help: 'The connection that receives revocations by LISTEN, which PgBouncer must not pool; with none they are only polled.',
  },
  DATABASE_POOL_SIZE: {
    format: integer(1, 1000),
    default: '10',
    usedBy: SERVICE,
    help: 'Connections to Postgres of each process.',
  },
  DATABASE_STATEMENT_TIMEOUT_MS: {
    format: integer(100, 60_000, 'milliseconds'),
    default: '5000',
    usedBy: SERVICE,
    help: 'Time after which Postgres cancels a statement.',
  },
  REDIS_URL: {
    format: redisUrl,
    isRequired: true,
    isSecret: true,
    usedBy: EVERY_PROCESS,
    help: 'Redis for rate limits and job queues: one server, Sentinels or a cluster.',
  },
} as const satisfies Keys;

export type DatabaseSettings = {
  url: string;
  ownerUrl: string;
  listenUrl: string | null;
  poolSize: number;
  statementTimeoutMs: number;
};

export function databaseSettings(values: Values<typeof DATABASE_KEYS>): DatabaseSettings {
  const listenUrl = values.DATABASE_LISTEN_URL ?? values.DATABASE_URL;
  return {
    url: values.DATABASE_URL,
    ownerUrl: values.MIGRATION_DATABASE_URL ?? values.DATABASE_URL,
    listenUrl: listenUrl === NO_LISTENING ? null : listenUrl,
    poolSize: values.DATABASE_POOL_SIZE,
    statementTimeoutMs: values.DATABASE_STATEMENT_TIMEOUT_MS,
  };
}
