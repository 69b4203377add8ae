/** Why a call failed. `Reason` in proto/latchkey/auth/v1/errors.proto says what each one means. */
export type Reason =
  | 'INVALID_ARGUMENT'
  | 'EMAIL_TAKEN'
  | 'CREDENTIALS_INVALID'
  | 'CREDENTIALS_MISSING'
  | 'CREDENTIALS_AMBIGUOUS'
  | 'TOKEN_INVALID'
  | 'TOKEN_EXPIRED'
  | 'TOKEN_REVOKED'
  | 'TOKEN_STALE'
  | 'AUDIENCE_MISMATCH'
  | 'REFRESH_TOKEN_INVALID'
  | 'REFRESH_TOKEN_REUSED'
  | 'SESSION_EXPIRED'
  | 'SESSION_ENDED'
  | 'RESET_TOKEN_INVALID'
  | 'PERMISSION_DENIED'
  | 'ROLE_NOT_GRANTED'
  | 'USER_NOT_FOUND'
  | 'USER_DISABLED'
  | 'RATE_LIMITED'
  | 'OVERLOADED'
  | 'DEPENDENCY_UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'INTERNAL'
  | 'PASSWORD_WRONG'
  | 'REQUEST_MALFORMED'
  | 'MESSAGE_TOO_LARGE'
  | 'UNIMPLEMENTED'
  | 'CURSOR_TOO_OLD'
  | 'WATCHER_TOO_SLOW'
  | 'SERVICE_NOT_FOUND'
  | 'VERIFICATION_TOKEN_INVALID'
  | 'NETWORK_TOKEN_INVALID'
  | 'REAUTHENTICATION_REQUIRED'
  | 'EMAIL_CHANGED_RECENTLY'
  | 'SESSION_NOT_FOUND'
  | 'OAUTH_STATE_INVALID'
  | 'OAUTH_DENIED'
  | 'OAUTH_RESPONSE_INVALID'
  | 'PROVIDER_UNAVAILABLE'
  | 'PROVIDER_EMAIL_UNVERIFIED'
  | 'ACCOUNT_NOT_LINKED'
  | 'IDENTITY_TAKEN'
  | 'IDENTITY_NOT_FOUND'
  | 'LAST_SIGN_IN_METHOD'
  | 'TOO_MANY_IDENTITIES'
  | 'GRANT_NOT_ALLOWED'
  | 'ROLE_NOT_FOUND'
  | 'ROLE_CIRCLE'
  | 'ROLE_IN_USE'
  | 'ROLE_NOT_HELD'
  | 'TOO_MANY_ROLES'
  | 'SERVICE_ACCOUNT_NOT_FOUND'
  | 'SERVICE_NAME_TAKEN'
  | 'API_KEY_NOT_FOUND'
  | 'SIGNING_KEY_NOT_FOUND'
  | 'SIGNING_KEY_NOT_READY'
  | 'AUDIENCES_REMOVED'
  | 'UNDO_TOKEN_INVALID'
  | 'VERIFICATION_OWNER_REQUIRED';

/** One bad field of a request. The description never repeats the value. */
export type Violation = { field: string; description: string };

type Details = {
  violations?: Violation[];
  /** When the same call may succeed, in milliseconds from now. */
  retryAfterMs?: number;
  /** The role that the caller lacks. */
  requiredRole?: string | undefined;
  /** For the log only; a caller never sees it. */
  cause?: unknown;
};

/** The one way in which this service says no. */
export class AuthError extends Error {
  readonly reason: Reason;
  readonly violations: Violation[];
  readonly retryAfterMs: number | undefined;
  readonly requiredRole: string | undefined;

  constructor(reason: Reason, details: Details = {}) {
    super(reason, { cause: details.cause });
    this.name = 'AuthError';
    this.reason = reason;
    this.violations = details.violations ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.requiredRole = details.requiredRole;
  }
}
