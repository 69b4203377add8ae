import { conditionOf } from './condition-name.ts';

/** A mistake that an operator can mend. The message says how, and needs no stack. */
export class OperatorError extends Error {
  override name = 'OperatorError';
}

/** Remedies for errors of the system and of drivers, by their code. */
const KNOWN: Record<string, string> = {
  EADDRINUSE: 'the port is in use: choose another one with PORT (or METRICS_PORT, MAILBOX_PORT)',
  EADDRNOTAVAIL: 'there is no such address to listen on: see HOST',
  EACCES: 'permission denied',
  ECONNREFUSED: 'nobody listens there: is it running, and is the URL right?',
  ENOTFOUND: 'there is no such host: is the URL right?',
  '28P01': 'Postgres refuses the password of this login',
  '28000': 'Postgres refuses this login',
  '3D000': 'there is no such database: "migrate --service-login" makes it',
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

/** A sentence for an operator's mistake, or null for a defect. */
export function operatorMessage(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if (error instanceof OperatorError) return error.message;
  const code = 'code' in error ? String(error.code) : '';
  const hint = KNOWN[code];
  return hint === undefined ? null : `${withCondition(error)}\n${hint}`;
}

/** A defect, with the place where it was thrown. */
export function defectMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = error.stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  return [withCondition(error), ...place].join('\n');
}

/** The message, and for an error of Postgres its condition: "disk_full". */
function withCondition(error: Error): string {
  const { code } = error as Error & { code?: unknown };
  const condition = conditionOf(error);
  const message = error.message || String(code ?? error.name);
  return condition === null ? message : `${message} (${condition})`;
}
