// How a rejected request is answered, the same for Connect, grpc-js and node:http.
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import { codeFromString, codeToHttpStatus } from '@connectrpc/connect/protocol-connect';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import type { RequiredStrength } from '../domain/acr.ts';
import { AuthError, type Violation } from '../domain/auth-error.ts';
import { ERROR_DOMAIN, ERROR_REASONS, type Reason } from '../domain/error-reason.ts';
import { strengthParameters } from '../domain/required-strength.ts';

export type Rejection = {
  reason: Reason;
  message: string;
  /** HTTP */
  status: number;
  violations: Violation[];
  /** With STEP_UP_REQUIRED. */
  required: RequiredStrength | undefined;
  /** Null unless the same request can succeed later. */
  retryAfterSeconds: number | null;
};

const MESSAGES: Partial<Record<Reason, string>> = {
  CREDENTIALS_MISSING: 'missing credentials; send authorization: Bearer <access token>',
  TOKEN_INVALID: 'invalid access token',
  DEPENDENCY_UNAVAILABLE: 'the access token cannot be verified now; retry later',
  ROLE_NOT_GRANTED: 'the caller does not hold the role',
};

/** An unexpected error rejects the request too, as DEPENDENCY_UNAVAILABLE. */
export function rejectionOf(error: unknown): Rejection {
  const failure = error instanceof AuthError ? error : new AuthError('DEPENDENCY_UNAVAILABLE');
  const { reason, requiredRole, required, violations } = failure;
  const message = MESSAGES[reason] ?? ERROR_REASONS[reason].message;
  const isRetryable = ERROR_REASONS[reason].code === 'unavailable';
  return {
    reason,
    message: requiredRole ? `${message} ${requiredRole}` : message,
    status: codeToHttpStatus(codeOf(reason)),
    violations,
    required,
    retryAfterSeconds: isRetryable ? Math.max(1, Math.ceil((failure.retryAfterMs ?? 0) / 1000)) : null,
  };
}

export function rejectedCall(error: unknown): ConnectError {
  const { reason, message, violations, required, retryAfterSeconds } = rejectionOf(error);
  const rejected = new ConnectError(message, codeOf(reason));
  const add = <Desc extends DescMessage>(desc: Desc, value: MessageInitShape<Desc>) =>
    rejected.details.push({ desc, value });
  add(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata: required ? strengthParameters(required) : {} });
  if (violations.length > 0) add(BadRequestSchema, { fieldViolations: violations });
  if (retryAfterSeconds !== null) {
    rejected.metadata.set('retry-after', String(retryAfterSeconds));
    add(RetryInfoSchema, { retryDelay: { seconds: BigInt(retryAfterSeconds) } });
  }
  return rejected;
}

function codeOf(reason: Reason) {
  const code = codeFromString(ERROR_REASONS[reason].code);
  if (code === undefined) throw new Error(`${reason} has no code`);
  return code;
}
