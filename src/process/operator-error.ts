import { conditionOf } from './condition-name.ts';

/** An error that an operator can correct. The message names the remedy and is printed without a stack. */
export class OperatorError extends Error {
  override name = 'OperatorError';
}

const REMEDIES_BY_CODE: Record<string, string> = {
  EADDRINUSE: 'the port is in use: choose another one with PORT (or METRICS_PORT, MAILBOX_PORT)',
  EADDRNOTAVAIL: 'this machine does not have the address: correct HOST',
  EACCES: 'permission denied',
  ECONNREFUSED: 'no server listens there: start the server, or correct the URL',
  ENOTFOUND: 'the host does not exist: correct the URL',
  '28P01': 'Postgres rejects the password of this login',
  '28000': 'Postgres rejects this login',
  '3D000': 'the database does not exist: "migrate --service-login" creates it',
  '25006': 'this Postgres is read-only, as a standby or a former primary is: the URL must lead to the primary',
  '42501':
    'this Postgres login may not do that: MIGRATION_DATABASE_URL must be the owner of the schema, with CREATEROLE',
  '53100': 'the disk of the Postgres server is full: free space there, and run this again',
  '53200': 'the Postgres server is out of memory: run this again when it has some',
  '53300': 'Postgres has no free connection: lower DATABASE_POOL_SIZE, or raise max_connections',
  '55P03': 'another transaction locks the table: pg_stat_activity shows it; run this again when it has ended',
  '57P01': 'the Postgres server is stopping: run this again when it accepts connections',
  '57P02': 'the Postgres server has crashed: run this again when it accepts connections',
  '57P03': 'the Postgres server is starting, stopping or in recovery: run this again when it accepts connections',
};

/** A sentence for an error that an operator can correct, or null for a defect. */
export function operatorMessage(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if (error instanceof OperatorError) return error.message;
  const code = 'code' in error ? String(error.code) : '';
  const remedy = REMEDIES_BY_CODE[code];
  return remedy === undefined ? null : `${withCondition(error)}\n${remedy}`;
}

export function defectMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stackLines = error.stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  return [withCondition(error), ...stackLines].join('\n');
}

function withCondition(error: Error): string {
  const { code } = error as Error & { code?: unknown };
  const condition = conditionOf(error);
  const message = error.message || String(code ?? error.name);
  return condition === null ? message : `${message} (${condition})`;
}
