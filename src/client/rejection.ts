// How a rejected request is answered, the same for Connect, grpc-js and node:http.
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthError, type Reason } from '../domain/auth-error.ts';

export type Rejection = { reason: Reason; isUnavailable: boolean; message: string; retryAfterSeconds: number };

const MESSAGES: Partial<Record<Reason, string>> = {
  CREDENTIALS_MISSING: 'send authorization: Bearer <token>',
  TOKEN_EXPIRED: 'the access token has expired',
  TOKEN_REVOKED: 'the session of the access token has ended',
  TOKEN_STALE: 'the claims of the access token have changed; refresh it',
  AUDIENCE_MISMATCH: 'the access token is for another audience',
};

/** An unexpected error rejects the request too, as DEPENDENCY_UNAVAILABLE. */
export function rejectionOf(error: unknown): Rejection {
  const reason = error instanceof AuthError ? error.reason : 'DEPENDENCY_UNAVAILABLE';
  const isUnavailable = reason === 'DEPENDENCY_UNAVAILABLE';
  const message = isUnavailable
    ? 'the token cannot be verified now'
    : (MESSAGES[reason] ?? 'the access token is not valid');
  const retryAfterMs = error instanceof AuthError ? (error.retryAfterMs ?? 0) : 0;
  return { reason, isUnavailable, message, retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1000)) };
}

export function rejectedCall(error: unknown): ConnectError {
  const { reason, isUnavailable, message, retryAfterSeconds } = rejectionOf(error);
  const rejected = new ConnectError(message, isUnavailable ? Code.Unavailable : Code.Unauthenticated);
  rejected.details.push({ desc: ErrorInfoSchema, value: { reason, domain: 'latchkey.dev' } });
  if (isUnavailable) rejected.metadata.set('retry-after', String(retryAfterSeconds));
  return rejected;
}
