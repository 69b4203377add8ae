import pg from 'pg';
import { NotPrimaryError } from './primary-guard.ts';

/**
 * SQLSTATE classes and codes of faults that pass: connection exceptions (but for protocol_violation, which is a message of
 * ours where Postgres itself reports it), insufficient resources, operator intervention (shutdown, cancelled, statement time-out), lock time-out, a server
 * that is read-only or in recovery (a failover), serialization failure and deadlock.
 */
const TRANSIENT_SQLSTATE = /^(?:08(?!P01)|53|57|25006|40001|40P01|55000|55P03)/;
const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);
/** pg throws these without a code. */
const CONNECTION_MESSAGES =
  /^(?:timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client has encountered a connection error|Cannot use a pool after calling end)/;

/** Whether a thrown error means that the database could not answer, so that the same call may succeed later. */
export function isDatabaseOutage(error: unknown): boolean {
  if (error instanceof NotPrimaryError) return true;
  if (error instanceof pg.DatabaseError) return TRANSIENT_SQLSTATE.test(error.code ?? '') || isOfPooler(error);
  if (error instanceof AggregateError) return error.errors.some(isDatabaseOutage);
  if (!(error instanceof Error)) return false;
  return CONNECTION_MESSAGES.test(error.message) || ('code' in error && NETWORK_CODES.has(String(error.code)));
}

/**
 * PgBouncer reports a server that it has lost as a protocol violation. Postgres names the routine of its own in each error, and
 * PgBouncer does not.
 */
function isOfPooler({ code, routine }: pg.DatabaseError): boolean {
  return code === '08P01' && routine === undefined;
}
