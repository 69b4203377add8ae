// How a rejected request is answered, the same for Connect, grpc-js and node:http.
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthError } from '../domain/auth-error.ts';
import { ERROR_DOMAIN, ERROR_REASONS, type Reason } from '../domain/error-reason.ts';

export type Rejection = { reason: Reason; isUnavailable: boolean; message: string; retryAfterSeconds: number };

const MESSAGES: Partial<Record<Reason, string>> = {
  CREDENTIALS_MISSING: 'missing credentials; send authorization: Bearer <access token>',
  TOKEN_EXPIRED: ERROR_REASONS.TOKEN_EXPIRED.message,
  TOKEN_REVOKED: ERROR_REASONS.TOKEN_REVOKED.message,
  TOKEN_STALE: ERROR_REASONS.TOKEN_STALE.message,
  AUDIENCE_MISMATCH: ERROR_REASONS.AUDIENCE_MISMATCH.message,
  DEPENDENCY_UNAVAILABLE: 'the access token cannot be verified now; retry later',
};

/** An unexpected error rejects the request too, as DEPENDENCY_UNAVAILABLE. */
export function rejectionOf(error: unknown): Rejection {
  const reason = error instanceof AuthError ? error.reason : 'DEPENDENCY_UNAVAILABLE';
  const isUnavailable = reason === 'DEPENDENCY_UNAVAILABLE';
  const message = MESSAGES[reason] ?? 'invalid access token';
  const retryAfterMs = error instanceof AuthError ? (error.retryAfterMs ?? 0) : 0;
  return { reason, isUnavailable, message, retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1000)) };
}

export function rejectedCall(error: unknown): ConnectError {
  const { reason, isUnavailable, message, retryAfterSeconds } = rejectionOf(error);
  const rejected = new ConnectError(message, isUnavailable ? Code.Unavailable : Code.Unauthenticated);
  rejected.details.push({ desc: ErrorInfoSchema, value: { reason, domain: ERROR_DOMAIN } });
  if (isUnavailable) rejected.metadata.set('retry-after', String(retryAfterSeconds));
  return rejected;
}
