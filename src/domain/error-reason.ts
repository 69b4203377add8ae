// errors.proto documents each `Reason` under the same name. A reason never depends on a protocol.

export const ERROR_DOMAIN = 'latchkey.dev';

type GrpcCode =
  | 'canceled'
  | 'unknown'
  | 'invalid_argument'
  | 'deadline_exceeded'
  | 'not_found'
  | 'already_exists'
  | 'permission_denied'
  | 'resource_exhausted'
  | 'failed_precondition'
  | 'aborted'
  | 'out_of_range'
  | 'unimplemented'
  | 'internal'
  | 'unavailable'
  | 'data_loss'
  | 'unauthenticated';

type Row = { code: GrpcCode; message: string };

/** A message says what is wrong with the call and, where the caller can do something, the remedy. */
export const ERROR_REASONS = {
  INVALID_ARGUMENT: { code: 'invalid_argument', message: 'the request has invalid fields' },
  EMAIL_TAKEN: { code: 'already_exists', message: 'an account with this email exists' },
  CREDENTIALS_INVALID: { code: 'unauthenticated', message: 'email or password is wrong' },
  CREDENTIALS_MISSING: {
    code: 'unauthenticated',
    message: 'missing credentials; send authorization: Bearer <access token or service key>',
  },
  CREDENTIALS_AMBIGUOUS: {
    code: 'unauthenticated',
    message:
      'the request has several values of authorization or of x-service-key, or a service in both; send one of each, with the token of a user in authorization',
  },
  SERVICE_KEY_INVALID: {
    code: 'unauthenticated',
    message:
      'x-service-key is no valid service key, API key or access token of a service; send the key alone, without a scheme',
  },
  TOKEN_INVALID: { code: 'unauthenticated', message: 'invalid access token or service key' },
  TOKEN_EXPIRED: { code: 'unauthenticated', message: 'the access token has expired; refresh it' },
  TOKEN_REVOKED: { code: 'unauthenticated', message: 'the session of the access token has ended; sign in again' },
  TOKEN_STALE: { code: 'unauthenticated', message: 'the claims of the access token have changed; refresh it' },
  AUDIENCE_MISMATCH: { code: 'unauthenticated', message: 'the access token was issued for another audience' },
  API_KEY_NOT_ACCEPTED: {
    code: 'unauthenticated',
    message:
      'an access token is required; exchange an API key for one with AuthService.IssueServiceToken or POST /oauth/token; a service key is accepted by the APIs of Latchkey only',
  },
  REFRESH_TOKEN_INVALID: { code: 'unauthenticated', message: 'invalid refresh token; sign in again' },
  REFRESH_TOKEN_REUSED: {
    code: 'unauthenticated',
    message: 'the refresh token has been replaced; the session was revoked; sign in again',
  },
  SESSION_EXPIRED: { code: 'unauthenticated', message: 'the session has expired; sign in again' },
  SESSION_ENDED: { code: 'unauthenticated', message: 'the session has ended; sign in again' },
  RESET_TOKEN_INVALID: {
    code: 'failed_precondition',
    message: 'the reset token is invalid, used or expired; request a new one',
  },
  PASSWORD_WRONG: { code: 'permission_denied', message: 'the current password is wrong' },
  CROSS_SITE_REQUEST: {
    code: 'permission_denied',
    message: 'the request comes from a page of another site; send it from a page of this site',
  },
  PERMISSION_DENIED: { code: 'permission_denied', message: 'the caller lacks permission for this call' },
  ROLE_NOT_GRANTED: { code: 'permission_denied', message: 'the user does not hold the role' },
  USER_NOT_FOUND: { code: 'not_found', message: 'user not found' },
  USER_DISABLED: { code: 'permission_denied', message: 'the user is disabled' },
  RATE_LIMITED: { code: 'resource_exhausted', message: 'too many attempts; retry later' },
  OVERLOADED: { code: 'unavailable', message: 'server overloaded; retry later' },
  DEPENDENCY_UNAVAILABLE: { code: 'unavailable', message: 'a dependency is unavailable; retry later' },
  DEADLINE_EXCEEDED: { code: 'deadline_exceeded', message: 'the call exceeded its deadline' },
  INTERNAL: { code: 'internal', message: 'internal error; report the request id to the operator' },
  REQUEST_MALFORMED: { code: 'invalid_argument', message: 'the request is not a valid message of this method' },
  MESSAGE_TOO_LARGE: {
    code: 'resource_exhausted',
    message:
      'the message exceeds a limit: 64 KiB (batches and ext_authz 1 MiB), 1,000 fields (batches 5,000), 32 levels',
  },
  UNIMPLEMENTED: {
    code: 'unimplemented',
    message:
      'unsupported request; use POST without compression, content-type application/json, application/proto or a gRPC type (streams also application/connect+json or +proto), and one message unless the method takes a stream',
  },
  CURSOR_TOO_OLD: { code: 'out_of_range', message: 'the cursor is too old; watch again without a cursor' },
  WATCHER_TOO_SLOW: {
    code: 'resource_exhausted',
    message: 'the client reads more slowly than events occur; watch again from the last cursor',
  },
  CLIENT_TOO_OLD: {
    code: 'failed_precondition',
    message:
      'the stream has events that the version of the request does not include; send version 1 or update the client',
  },
  VERIFICATION_TOKEN_INVALID: {
    code: 'failed_precondition',
    message: 'the verification token is invalid, used or expired; request a new one',
  },
  NETWORK_TOKEN_INVALID: {
    code: 'failed_precondition',
    message: 'the network token is invalid, used, expired or older than the password; use the newest e-mail',
  },
  REAUTHENTICATION_REQUIRED: {
    code: 'failed_precondition',
    message:
      'this call requires re-authentication; for an account with a second factor, use AccountService.StartStepUp; for one with a password alone, send current_password or call AccountService.Reauthenticate; for one without both, sign in again with StartOAuth and reauthenticate, or set a password with RequestReset',
  },
  EMAIL_CHANGED_RECENTLY: {
    code: 'failed_precondition',
    message:
      'the email address was changed within the last 7 days, and the former owner can undo the change; delete the account later',
  },
  SESSION_NOT_FOUND: { code: 'not_found', message: 'session not found' },
  OAUTH_STATE_INVALID: {
    code: 'failed_precondition',
    message: 'the state is unknown, used, expired or belongs to another browser; start the sign-in again',
  },
  OAUTH_DENIED: {
    code: 'permission_denied',
    message: 'the user or the identity provider denied the sign-in; start it again',
  },
  OAUTH_RESPONSE_INVALID: {
    code: 'unauthenticated',
    message: "the identity provider's response could not be verified; start the sign-in again",
  },
  PROVIDER_UNAVAILABLE: {
    code: 'aborted',
    message: 'the identity provider is unavailable; start the sign-in again later',
  },
  PROVIDER_EMAIL_UNVERIFIED: {
    code: 'failed_precondition',
    message: 'the identity provider has not verified an email address of this user; verify one there',
  },
  ACCOUNT_NOT_LINKED: {
    code: 'failed_precondition',
    message:
      'an account with this email exists or its email is not verified; sign in to it, verify the email and link the provider',
  },
  IDENTITY_TAKEN: { code: 'already_exists', message: 'this identity is linked to an account already' },
  IDENTITY_NOT_FOUND: { code: 'not_found', message: 'identity not found' },
  LAST_SIGN_IN_METHOD: {
    code: 'failed_precondition',
    message: 'this is the only way to sign in to the account; set a password or link another identity first',
  },
  TOO_MANY_IDENTITIES: {
    code: 'failed_precondition',
    message: 'the account has the maximum of 100 identities; unlink one first',
  },
  GRANT_NOT_ALLOWED: {
    code: 'permission_denied',
    message: 'the caller lacks the granter role of this role, of one that it implies, or of one that the target holds',
  },
  ROLE_NOT_FOUND: { code: 'not_found', message: 'role not found' },
  ROLE_CIRCLE: { code: 'failed_precondition', message: 'roles must not imply one another in a circle' },
  ROLE_IN_USE: {
    code: 'failed_precondition',
    message: 'the role is built in, held, implied by another role, or the granter of another role',
  },
  ROLE_NOT_HELD: { code: 'failed_precondition', message: 'the role is not granted directly' },
  SERVICE_ACCOUNT_NOT_FOUND: { code: 'not_found', message: 'service account not found' },
  SERVICE_NAME_TAKEN: { code: 'already_exists', message: 'a service account with this name exists' },
  API_KEY_NOT_FOUND: { code: 'not_found', message: 'API key not found, or revoked already' },
  TOO_MANY_ROLES: {
    code: 'failed_precondition',
    message: 'the roles, with all roles that they imply, would not fit into a token',
  },
  SIGNING_KEY_NOT_FOUND: { code: 'not_found', message: 'signing key not found, or retired already' },
  SIGNING_KEY_NOT_READY: {
    code: 'failed_precondition',
    message: 'verifiers may not have fetched the next signing key yet; retry later',
  },
  AUDIENCES_REMOVED: {
    code: 'unauthenticated',
    message: 'the configuration no longer has any audience of the session; sign in again',
  },
  UNDO_TOKEN_INVALID: {
    code: 'failed_precondition',
    message: 'the undo token is invalid, used or expired, or the account was deleted',
  },
  VERIFICATION_OWNER_REQUIRED: {
    code: 'failed_precondition',
    message:
      'show that the account is yours: send an access token of the account, its password, or the binding that Register returned',
  },
  STEP_UP_REQUIRED: {
    code: 'unauthenticated',
    message:
      "the user's authentication is weaker or older than required; sign in again or use AccountService.StartStepUp, then send the new access token",
  },
  FACTOR_INVALID: { code: 'unauthenticated', message: 'the code or the passkey response is wrong, used or too old' },
  CHALLENGE_INVALID: {
    code: 'unauthenticated',
    message: 'the challenge is unknown, used, expired or of another user or network; start again',
  },
  FACTOR_MISSING: {
    code: 'failed_precondition',
    message:
      'the account has no second factor that is strong enough for this call; add one with AccountService.StartAddTotp or, for phr, StartAddPasskey',
  },
  FACTOR_NOT_FOUND: { code: 'not_found', message: 'factor not found' },
  FACTOR_REQUIRED: {
    code: 'failed_precondition',
    message: 'a policy or a role of the user requires this factor; add another one first',
  },
  TOO_MANY_FACTORS: {
    code: 'failed_precondition',
    message: 'the account has the maximum of 20 passkeys or 5 authenticator apps; remove one first',
  },
  PASSKEY_TAKEN: { code: 'already_exists', message: 'the passkey was added before; use another one' },
  SERVICE_NOT_FOUND: { code: 'not_found', message: 'service not found' },
} satisfies Record<string, Row>;

export type Reason = keyof typeof ERROR_REASONS;
