// The error that a caller receives whose request is rejected, for Connect, grpc-js and HTTP alike.
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthError } from '../domain/auth-error.ts';
import { ERROR_DOMAIN, ERROR_REASONS, type Reason } from '../domain/error-reason.ts';

export type Refusal = { reason: Reason; isUnavailable: boolean; message: string; retryAfterSeconds: number };

const MESSAGES: Partial<Record<Reason, string>> = {
  CREDENTIALS_MISSING: 'missing credentials; send authorization: Bearer <access token>',
  TOKEN_EXPIRED: ERROR_REASONS.TOKEN_EXPIRED.message,
  TOKEN_REVOKED: ERROR_REASONS.TOKEN_REVOKED.message,
  TOKEN_STALE: ERROR_REASONS.TOKEN_STALE.message,
  AUDIENCE_MISMATCH: ERROR_REASONS.AUDIENCE_MISMATCH.message,
  DEPENDENCY_UNAVAILABLE: 'the access token cannot be verified now; retry later',
};

/** Every failure rejects the request. One without a reason means that verification is unavailable. */
export function refusalOf(error: unknown): Refusal {
  const reason = error instanceof AuthError ? error.reason : 'DEPENDENCY_UNAVAILABLE';
  const isUnavailable = reason === 'DEPENDENCY_UNAVAILABLE';
  const message = MESSAGES[reason] ?? 'invalid access token';
  const retryAfterMs = error instanceof AuthError ? (error.retryAfterMs ?? 0) : 0;
  return { reason, isUnavailable, message, retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1000)) };
}

/** For the doors of RPCs. */
export function refusedCall(error: unknown): ConnectError {
  const { reason, isUnavailable, message, retryAfterSeconds } = refusalOf(error);
  const refused = new ConnectError(message, isUnavailable ? Code.Unavailable : Code.Unauthenticated);
  refused.details.push({ desc: ErrorInfoSchema, value: { reason, domain: ERROR_DOMAIN } });
  if (isUnavailable) refused.metadata.set('retry-after', String(retryAfterSeconds));
  return refused;
}
