// How a failure looks on the wire: the one table from reasons to gRPC codes, and google.rpc details (AIP-193).
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import type { Reason as ReasonEnum } from '../../../gen/latchkey/auth/v1/errors_pb.ts';
import { AuthError, type Reason } from '../../domain/auth-error.ts';
import { RETRY_SOON_MS } from '../../domain/retry-after.ts';
import { isDatabaseOutage } from '../../store/postgres/outage.ts';
import type { CallRecord } from './call-record.ts';

/** `ErrorInfo.domain` of every error. */
const ERROR_DOMAIN = 'latchkey.dev';

type ProtoReason = Exclude<keyof typeof ReasonEnum, 'UNSPECIFIED'>;
type Answer = { code: Code; message: string };

/** Has a row for each reason of the domain and of the proto, which are the same: anything else is a type error. */
export const ERRORS = {
  INVALID_ARGUMENT: { code: Code.InvalidArgument, message: 'the request has bad fields' },
  EMAIL_TAKEN: { code: Code.AlreadyExists, message: 'an account with this email exists' },
  CREDENTIALS_INVALID: { code: Code.Unauthenticated, message: 'email or password is wrong' },
  CREDENTIALS_MISSING: {
    code: Code.Unauthenticated,
    message: 'send authorization: Bearer <access token, or the key of a service>',
  },
  CREDENTIALS_AMBIGUOUS: {
    code: Code.Unauthenticated,
    message: 'the request has several authorization headers, or one with several values; send one',
  },
  TOKEN_INVALID: { code: Code.Unauthenticated, message: 'this is no valid access token, nor the key of a service' },
  TOKEN_EXPIRED: { code: Code.Unauthenticated, message: 'the access token has expired' },
  TOKEN_REVOKED: { code: Code.Unauthenticated, message: 'the session of the access token has ended' },
  TOKEN_STALE: { code: Code.Unauthenticated, message: 'the claims of the access token have changed; refresh it' },
  AUDIENCE_MISMATCH: { code: Code.Unauthenticated, message: 'the access token is for another audience' },
  REFRESH_TOKEN_INVALID: { code: Code.Unauthenticated, message: 'the refresh token is not valid' },
  REFRESH_TOKEN_REUSED: {
    code: Code.Unauthenticated,
    message: 'the refresh token had been replaced; its session has ended',
  },
  SESSION_EXPIRED: { code: Code.Unauthenticated, message: 'the session has expired' },
  SESSION_ENDED: { code: Code.Unauthenticated, message: 'the session has ended' },
  RESET_TOKEN_INVALID: { code: Code.FailedPrecondition, message: 'the reset token is no longer valid' },
  PASSWORD_WRONG: { code: Code.PermissionDenied, message: 'the current password is wrong' },
  PERMISSION_DENIED: { code: Code.PermissionDenied, message: 'the caller may not do this' },
  ROLE_NOT_GRANTED: { code: Code.PermissionDenied, message: 'the user does not hold the role' },
  USER_NOT_FOUND: { code: Code.NotFound, message: 'there is no such user' },
  USER_DISABLED: { code: Code.PermissionDenied, message: 'the user is disabled' },
  RATE_LIMITED: { code: Code.ResourceExhausted, message: 'too many attempts' },
  OVERLOADED: { code: Code.Unavailable, message: 'too much to do; try again soon' },
  DEPENDENCY_UNAVAILABLE: { code: Code.Unavailable, message: 'a dependency does not answer; try again soon' },
  DEADLINE_EXCEEDED: { code: Code.DeadlineExceeded, message: 'the call took too long' },
  INTERNAL: { code: Code.Internal, message: 'internal error' },
  REQUEST_MALFORMED: { code: Code.InvalidArgument, message: 'the request is not a message of this method' },
  MESSAGE_TOO_LARGE: {
    code: Code.ResourceExhausted,
    message: 'the message has too many bytes (64 KiB, batches 1 MiB), fields (1,000, batches 5,000) or levels (32)',
  },
  UNIMPLEMENTED: {
    code: Code.Unimplemented,
    message:
      'not served: use POST, no compression, content-type application/json, application/proto or one of gRPC (for streams application/connect+json), and one message where the method takes one',
  },
  CURSOR_TOO_OLD: { code: Code.OutOfRange, message: 'the cursor is too old; watch again without one' },
  WATCHER_TOO_SLOW: { code: Code.ResourceExhausted, message: 'the changes were not read fast enough' },
  VERIFICATION_TOKEN_INVALID: {
    code: Code.FailedPrecondition,
    message: 'the verification token is no longer valid',
  },
  NETWORK_TOKEN_INVALID: {
    code: Code.FailedPrecondition,
    message: 'invalid network token: it is used, expired or older than the password',
  },
  REAUTHENTICATION_REQUIRED: {
    code: Code.FailedPrecondition,
    message:
      'call AccountService.Reauthenticate with the current password, or send it here where the request has current_password; without a password, sign in again by StartOAuth with reauthenticate, or set a password by RequestReset',
  },
  EMAIL_CHANGED_RECENTLY: {
    code: Code.FailedPrecondition,
    message:
      'the address was changed within the last 7 days, and its former owner can undo that; delete the account later',
  },
  SESSION_NOT_FOUND: { code: Code.NotFound, message: 'the user has no such session' },
  OAUTH_STATE_INVALID: {
    code: Code.FailedPrecondition,
    message: 'the sign-in at the provider is unknown, over, used or was begun elsewhere; begin again',
  },
  OAUTH_DENIED: { code: Code.PermissionDenied, message: 'the sign-in at the provider was not granted' },
  OAUTH_RESPONSE_INVALID: { code: Code.Unauthenticated, message: 'what the provider has answered proves nothing' },
  PROVIDER_UNAVAILABLE: { code: Code.Aborted, message: 'the provider does not answer; begin again later' },
  PROVIDER_EMAIL_UNVERIFIED: {
    code: Code.FailedPrecondition,
    message: 'the provider has verified no email address of this user',
  },
  ACCOUNT_NOT_LINKED: {
    code: Code.FailedPrecondition,
    message: 'an account has this address; sign in to it and link the provider, or verify the address first',
  },
  IDENTITY_TAKEN: { code: Code.AlreadyExists, message: 'this identity is linked to another account' },
  IDENTITY_NOT_FOUND: { code: Code.NotFound, message: 'the user has no such identity' },
  LAST_SIGN_IN_METHOD: {
    code: Code.FailedPrecondition,
    message: 'without it nobody could sign in to the account; set a password first',
  },
  TOO_MANY_IDENTITIES: { code: Code.FailedPrecondition, message: 'the account has as many identities as it may have' },
  GRANT_NOT_ALLOWED: {
    code: Code.PermissionDenied,
    message: 'who gives or takes a role must hold its granter, and that of each role it implies',
  },
  ROLE_NOT_FOUND: { code: Code.NotFound, message: 'there is no such role' },
  ROLE_CIRCLE: { code: Code.FailedPrecondition, message: 'roles would imply one another in a circle' },
  ROLE_IN_USE: {
    code: Code.FailedPrecondition,
    message: 'the role is held, implied by another one, the granter of one, or built in',
  },
  ROLE_NOT_HELD: { code: Code.FailedPrecondition, message: 'the user or service was not granted this role' },
  SERVICE_ACCOUNT_NOT_FOUND: { code: Code.NotFound, message: 'there is no such service account' },
  SERVICE_NAME_TAKEN: { code: Code.AlreadyExists, message: 'a service account with this name exists' },
  API_KEY_NOT_FOUND: { code: Code.NotFound, message: 'there is no such API key that is good' },
  TOO_MANY_ROLES: {
    code: Code.FailedPrecondition,
    message: 'the roles, with all that they imply, would not fit into a token',
  },
  SIGNING_KEY_NOT_FOUND: { code: Code.NotFound, message: 'there is no such signing key that is good' },
  SIGNING_KEY_NOT_READY: {
    code: Code.FailedPrecondition,
    message: 'the next key has not been published for long enough: not everybody who verifies tokens can know it yet',
  },
  AUDIENCES_REMOVED: {
    code: Code.Unauthenticated,
    message: 'this deployment no longer has any audience of the session; sign in again',
  },
  UNDO_TOKEN_INVALID: {
    code: Code.FailedPrecondition,
    message: 'the undo token is invalid, used or expired, or the account is deleted',
  },
  VERIFICATION_OWNER_REQUIRED: {
    code: Code.FailedPrecondition,
    message:
      "confirm as the account's owner: with an access token of the account, its password, or the binding that Register returned",
  },
  SERVICE_NOT_FOUND: { code: Code.NotFound, message: 'there is no such service here' },
} satisfies Record<ProtoReason | Reason, Answer> & Record<Exclude<Reason, ProtoReason>, never>;

const ABORT_CODES = new Set([Code.DeadlineExceeded, Code.Canceled, Code.Aborted]);

/** Notes in the record how the call failed, and gives what the caller may see of it. */
export function answerError(error: unknown, record: CallRecord): ConnectError {
  const failure = asAuthError(error);
  record.code = codeName(ERRORS[failure.reason].code);
  record.reason = failure.reason;
  record.error = failure.cause;
  return toConnectError(failure, record.requestId);
}

/** What a caller hears who is refused for a reason that needs no other details. */
export function refusal(reason: Reason, requestId: string, retryAfterMs?: number): ConnectError {
  const details = retryAfterMs === undefined ? {} : { retryAfterMs };
  return toConnectError(new AuthError(reason, details), requestId);
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

/** Our own code throws AuthError: a ConnectError is about what the caller sent. Null for a defect. */
function reasonOfConnect({ code, rawMessage }: ConnectError): Reason | null {
  switch (code) {
    // Of gRPC's own services, which know no reasons.
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

/** The reason of an aborted signal: a deadline, the caller's or our own; or a caller who went away and hears nothing. */
function isAbort(error: unknown): boolean {
  if (error instanceof ConnectError) return ABORT_CODES.has(error.code);
  return error instanceof DOMException && (error.name === 'TimeoutError' || error.name === 'AbortError');
}

function toConnectError(
  { reason, violations, retryAfterMs, requiredRole }: AuthError,
  requestId: string,
): ConnectError {
  const { code, message } = ERRORS[reason];
  const error = new ConnectError(requiredRole ? `${message}: it requires the role ${requiredRole}` : message, code);
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
