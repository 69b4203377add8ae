// How a failure looks on the wire: the one table from reasons to gRPC codes, and google.rpc details (AIP-193).
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Reason as ReasonEnum } from '../../gen/auth/v1/errors_pb.ts';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthError, type Reason } from '../domain/auth-error.ts';
import { isDatabaseOutage } from '../store/outage.ts';
import type { CallRecord } from './call-record.ts';

/** `ErrorInfo.domain` of every error. */
export const ERROR_DOMAIN = 'latchkey';

type Answer = { code: Code; message: string };

/** Every reason of the proto has its row; one without it is a type error. */
export const ERRORS: Record<Exclude<keyof typeof ReasonEnum, 'UNSPECIFIED'> & Reason, Answer> = {
  INVALID_ARGUMENT: { code: Code.InvalidArgument, message: 'the request has bad fields' },
  EMAIL_TAKEN: { code: Code.AlreadyExists, message: 'an account with this email exists' },
  CREDENTIALS_INVALID: { code: Code.Unauthenticated, message: 'email or password is wrong' },
  CREDENTIALS_MISSING: { code: Code.Unauthenticated, message: 'send authorization: Bearer <token>' },
  TOKEN_INVALID: { code: Code.Unauthenticated, message: 'the access token is not valid' },
  TOKEN_EXPIRED: { code: Code.Unauthenticated, message: 'the access token has expired' },
  TOKEN_REVOKED: { code: Code.Unauthenticated, message: 'the session of the access token has ended' },
  AUDIENCE_MISMATCH: { code: Code.Unauthenticated, message: 'the access token is for another audience' },
  REFRESH_TOKEN_INVALID: { code: Code.Unauthenticated, message: 'the refresh token is not valid' },
  REFRESH_TOKEN_REUSED: {
    code: Code.Unauthenticated,
    message: 'the refresh token had been replaced; its session has ended',
  },
  SESSION_EXPIRED: { code: Code.Unauthenticated, message: 'the session has expired' },
  SESSION_ENDED: { code: Code.Unauthenticated, message: 'the session has ended' },
  RESET_TOKEN_INVALID: { code: Code.Unauthenticated, message: 'the reset token is not valid any more' },
  PERMISSION_DENIED: { code: Code.PermissionDenied, message: 'the caller may not do this' },
  ROLE_NOT_GRANTED: { code: Code.PermissionDenied, message: 'the user does not hold the role' },
  USER_NOT_FOUND: { code: Code.NotFound, message: 'there is no such user' },
  USER_DISABLED: { code: Code.PermissionDenied, message: 'the user is disabled' },
  RATE_LIMITED: { code: Code.ResourceExhausted, message: 'too many attempts' },
  OVERLOADED: { code: Code.Unavailable, message: 'too much to do; try again soon' },
  DEPENDENCY_UNAVAILABLE: { code: Code.Unavailable, message: 'a dependency does not answer; try again soon' },
  DEADLINE_EXCEEDED: { code: Code.DeadlineExceeded, message: 'the call took too long' },
  INTERNAL: { code: Code.Internal, message: 'internal error' },
};

const OUTAGE_RETRY_AFTER_MS = 1000;

/** Notes in the record how the call failed, and gives what the caller may see of it. */
export function answerError(error: unknown, record: CallRecord): ConnectError {
  const failure = asAuthError(error);
  // Connect's own refusals (malformed, cancelled, unknown codec) carry a code and a text that are meant for the caller.
  if (!failure && error instanceof ConnectError) {
    record.code = codeName(error.code);
    return error;
  }
  const known = failure ?? new AuthError('INTERNAL', { cause: error });
  record.code = codeName(ERRORS[known.reason].code);
  record.reason = known.reason;
  record.error = known.cause;
  return toConnectError(known, record.requestId);
}

/** Null for what is neither ours nor a known kind of outage. */
function asAuthError(error: unknown): AuthError | null {
  if (error instanceof AuthError) return error;
  if (isTimeout(error)) return new AuthError('DEADLINE_EXCEEDED');
  if (!isDatabaseOutage(error)) return null;
  return new AuthError('DEPENDENCY_UNAVAILABLE', { retryAfterMs: OUTAGE_RETRY_AFTER_MS, cause: error });
}

function isTimeout(error: unknown): boolean {
  if (error instanceof ConnectError) return error.code === Code.DeadlineExceeded;
  return error instanceof DOMException && error.name === 'TimeoutError';
}

function toConnectError({ reason, violations, retryAfterMs }: AuthError, requestId: string): ConnectError {
  const { code, message } = ERRORS[reason];
  const error = new ConnectError(message, code);
  const metadata = { request_id: requestId };
  error.details.push(detail(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata }));
  if (violations.length > 0) error.details.push(detail(BadRequestSchema, { fieldViolations: violations }));
  if (retryAfterMs !== undefined) {
    const seconds = Math.ceil(retryAfterMs / 1000);
    error.metadata.set('retry-after', String(seconds));
    error.details.push(detail(RetryInfoSchema, { retryDelay: { seconds: BigInt(seconds) } }));
  }
  return error;
}

function detail<Desc extends DescMessage>(desc: Desc, value: MessageInitShape<Desc>) {
  return { desc, value };
}

/** As in gRPC's documents, in lower case: `resource_exhausted`. */
export function codeName(code: Code): string {
  return Code[code].replace(/[a-z](?=[A-Z])/g, '$&_').toLowerCase();
}
