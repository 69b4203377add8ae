import { CONDITION_NAMES, conditionOf } from '../process/condition-name.ts';
import { NETWORK_CODES } from '../process/network-codes.ts';

const CONDITIONS = new Set(Object.values(CONDITION_NAMES));
/** Messages of pg, of this service's pool and of ioredis, without a code. */
const TIMEOUT = /timeout|timed out/i;

/** From a closed list, so that labels stay few. Empty without an error. */
export function databaseErrorType(error: unknown): string {
  if (error === null) return '';
  if (!(error instanceof Error)) return '_OTHER';
  const condition = conditionOf(error);
  if (condition !== null) return CONDITIONS.has(condition) ? condition : '_OTHER';
  if (error.name === 'NotPrimaryError') return 'not_primary';
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && NETWORK_CODES.has(code)) return code;
  if (error instanceof AggregateError) return databaseErrorType(error.errors[0] ?? new Error());
  return TIMEOUT.test(error.message) ? 'timeout' : '_OTHER';
}
