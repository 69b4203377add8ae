import { RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthError } from '../domain/auth-error.ts';
import { findDetails, headerOf } from './failure-details.ts';

const SECONDS = /^\d{1,9}$/;

/**
 * When the same call can succeed, in milliseconds from now: google.rpc.RetryInfo, or the header `retry-after` that a
 * proxy has set. Null when the server gives no time.
 * @param failure as for `reasonOf`; or a Response of fetch
 */
export function retryAfterOf(failure: unknown): number | null {
  if (failure instanceof AuthError) return failure.retryAfterMs ?? null;
  for (const { retryDelay } of findDetails(failure, RetryInfoSchema)) {
    if (retryDelay) return Math.max(0, Number(retryDelay.seconds) * 1000 + Math.ceil(retryDelay.nanos / 1e6));
  }
  const header = headerOf(failure, 'retry-after');
  return typeof header === 'string' && SECONDS.test(header) ? Number(header) * 1000 : null;
}
