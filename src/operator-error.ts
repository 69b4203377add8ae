/** Something that whoever runs the service can mend; its message says how, and needs no stack. */
export class OperatorError extends Error {
  override name = 'OperatorError';
}

/** What drivers and the system say of an operator's mistakes, by their code. */
const KNOWN: Record<string, string> = {
  EADDRINUSE: 'the port is in use: choose another one with PORT (or METRICS_PORT, MAILBOX_PORT)',
  EADDRNOTAVAIL: 'there is no such address to listen on: see HOST',
  EACCES: 'permission denied',
  ECONNREFUSED: 'nobody listens there: is it running, and is the URL right?',
  ENOTFOUND: 'there is no such host: is the URL right?',
  '28P01': 'Postgres refuses the password of this login',
  '28000': 'Postgres refuses this login',
  '57P03': 'Postgres is starting, stopping or in recovery: try again when it is ready',
  '53300': 'Postgres has no connection left: raise its max_connections, or lower DATABASE_POOL_SIZE',
  '3D000': 'there is no such database: "migrate --service-login" makes it',
  '42501': 'this Postgres login may not do that: MIGRATION_DATABASE_URL wants the owner of the schema, with CREATEROLE',
};

/** A sentence for an operator's mistake, or null for a defect. */
export function operatorMessage(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if (error instanceof OperatorError) return error.message;
  const code = 'code' in error ? String(error.code) : '';
  const hint = KNOWN[code];
  return hint === undefined ? null : `${error.message || code}\n${hint}`;
}
