import pg from 'pg';
import { NETWORK_CODES } from '../../process/network-codes.ts';
import { NotPrimaryError } from './primary-guard.ts';

/**
 * SQLSTATEs of connection faults (not 08P01, a defect of the client), resources, shutdown, cancellation, time-outs,
 * failover, serialization and deadlock.
 */
const TRANSIENT_SQLSTATE = /^(?:08(?!P01)|53|57|25006|40001|40P01|55000|55P03)/;
/** The messages of pg errors without a code. */
const CONNECTION_MESSAGES =
  /^(?:timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client has encountered a connection error|Cannot use a pool after calling end)/;

/** After an outage the same call can succeed. */
export function isDatabaseOutage(error: unknown): boolean {
  if (error instanceof NotPrimaryError) return true;
  if (error instanceof pg.DatabaseError) return TRANSIENT_SQLSTATE.test(error.code ?? '') || isOfPooler(error);
  if (error instanceof AggregateError) return error.errors.some(isDatabaseOutage);
  if (!(error instanceof Error)) return false;
  return CONNECTION_MESSAGES.test(error.message) || ('code' in error && NETWORK_CODES.has(String(error.code)));
}

/** PgBouncer reports a lost server as a protocol violation, without the `routine` of Postgres. */
function isOfPooler({ code, routine }: pg.DatabaseError): boolean {
  return code === '08P01' && routine === undefined;
}
