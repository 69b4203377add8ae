import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthError } from '../domain/auth-error.ts';
import { ERROR_DOMAIN, type Reason } from '../domain/error-reason.ts';
import { findDetails, memberOf } from './failure-details.ts';

const REASON = /^[A-Z][A-Z0-9_]{2,62}$/;

/**
 * The reason of a failure (`Reason` in errors.proto), or null for one that has none.
 * @param failure an error of Connect, of grpc-js or of `verify`; or the parsed JSON of a response
 */
export function reasonOf(failure: unknown): Reason | null {
  if (failure instanceof AuthError) return failure.reason;
  const info = findDetails(failure, ErrorInfoSchema).find(({ domain }) => domain === ERROR_DOMAIN);
  // Forward auth, OAuth and httpMiddleware answer with { reason, message }.
  const reason = info?.reason ?? (failure instanceof Error ? undefined : memberOf(failure, 'reason'));
  return typeof reason === 'string' && REASON.test(reason) ? (reason as Reason) : null;
}
