// Turns errors into a gRPC code, a message and google.rpc details (AIP-193). The table of codes and messages is
// src/domain/error-reason.ts.
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { codeFromString } from '@connectrpc/connect/protocol-connect';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { ERROR_DOMAIN, ERROR_REASONS, type Reason } from '../../domain/error-reason.ts';
import { strengthParameters } from '../../domain/required-strength.ts';
import { RETRY_SOON_MS } from '../../domain/retry-after.ts';
import { isDatabaseOutage } from '../../store/postgres/outage.ts';
import type { CallRecord } from './call-record.ts';

const ABORT_CODES = new Set([Code.DeadlineExceeded, Code.Canceled, Code.Aborted]);

/** Records how the call failed. The returned error holds no cause. */
export function answerError(error: unknown, record: CallRecord): ConnectError {
  const failure = asAuthError(error);
  record.code = ERROR_REASONS[failure.reason].code;
  record.reason = failure.reason;
  record.error = failure.cause;
  return toConnectError(failure, record.requestId);
}

function asAuthError(error: unknown): AuthError {
  if (error instanceof AuthError) return error;
  if (isAbort(error)) return new AuthError('DEADLINE_EXCEEDED');
  const reason = error instanceof ConnectError ? reasonOfConnect(error) : null;
  if (reason) return new AuthError(reason);
  if (isDatabaseOutage(error)) {
    return new AuthError('DEPENDENCY_UNAVAILABLE', { retryAfterMs: RETRY_SOON_MS, cause: error });
  }
  return new AuthError('INTERNAL', { cause: error });
}

/** This service throws AuthError, so a ConnectError is about the request. Null for a defect. */
function reasonOfConnect({ code, rawMessage }: ConnectError): Reason | null {
  switch (code) {
    // Thrown by grpc.health.v1, which has no reasons.
    case Code.NotFound:
      return 'SERVICE_NOT_FOUND';
    case Code.Unimplemented:
      return 'UNIMPLEMENTED';
    case Code.ResourceExhausted:
      return 'MESSAGE_TOO_LARGE';
    case Code.InvalidArgument:
      return 'REQUEST_MALFORMED';
    default:
      return rawMessage.startsWith('parse binary:') ? 'REQUEST_MALFORMED' : null;
  }
}

function isAbort(error: unknown): boolean {
  if (error instanceof ConnectError) return ABORT_CODES.has(error.code);
  return error instanceof DOMException && (error.name === 'TimeoutError' || error.name === 'AbortError');
}

export function toConnectError(
  { reason, violations, retryAfterMs, requiredRole, required }: AuthError,
  requestId: string,
): ConnectError {
  const { message } = ERROR_REASONS[reason];
  const text = requiredRole ? `${message}; it requires the role ${requiredRole}` : message;
  const error = new ConnectError(text, codeOf(reason));
  const metadata = { request_id: requestId, ...(required && strengthParameters(required)) };
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

/** A test checks that Connect has every code of the table. */
export function codeOf(reason: Reason): Code {
  return codeFromString(ERROR_REASONS[reason].code) as Code;
}
