/** The origin of a call, for audit events. */
export type Origin = {
  /** The client's IP address. */
  address: string;
  userAgent: string;
  requestId: string;
};

export type AuditType =
  | 'registered'
  | 'login_succeeded'
  | 'login_failed'
  | 'throttled'
  | 'refreshed'
  | 'refresh_reuse_detected'
  | 'logged_out'
  | 'reauthenticated'
  | 'reauthentication_failed'
  | 'password_changed'
  | 'reset_requested'
  | 'reset_done'
  | 'permission_denied'
  | 'register_refused'
  | 'verification_requested'
  | 'network_confirmed'
  | 'email_verified'
  | 'email_change_requested'
  | 'email_changed'
  | 'email_change_undone'
  | 'profile_changed'
  | 'session_revoked'
  | 'account_deleted'
  | 'identity_linked'
  | 'identity_refused'
  | 'identity_unlinked'
  | 'role_denied'
  | 'roles_read'
  | 'role_defined'
  | 'role_deleted'
  | 'role_granted'
  | 'role_revoked'
  | 'user_imported'
  | 'user_disabled'
  | 'user_enabled'
  | 'user_deleted'
  | 'user_unlocked'
  | 'new_password_required'
  | 'sessions_ended'
  | 'service_account_created'
  | 'service_account_disabled'
  | 'service_account_enabled'
  | 'service_account_deleted'
  | 'api_key_created'
  | 'api_key_revoked'
  | 'service_token_issued'
  | 'signing_key_published'
  | 'signing_key_activated'
  | 'signing_key_retiring'
  | 'signing_key_retired'
  | 'signing_key_reencrypted'
  | 'mail_sent'
  | 'mail_expired'
  | 'mail_failed';

/** Contains no secret and no email: users appear by id, or by `account`, a keyed hash of an email. */
export type AuditEvent = {
  type: AuditType;
  userId?: string;
  sessionId?: string;
  account?: string;
  /** One word: the cause of a failure, the limit, the RPC, the role. */
  detail?: string;
  /** The subject who acted on another one, as `subjectName` writes it. */
  actor?: string;
  /** The object of the action when it is no user: `role:editor`. */
  target?: string;
  before?: object | null;
  after?: object | null;
  origin: Origin;
};

/** An audit event as it is stored. Times are in UTC with microseconds in `ChainedEvent`, and `Date` here. */
export type AuditRecord = {
  /** The position in the chain, from 1. */
  seq: bigint;
  id: string;
  occurredAt: Date;
  type: string;
  userId: string | null;
  sessionId: string | null;
  account: string | null;
  detail: string | null;
  actor: string | null;
  target: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  address: string;
  userAgent: string;
  requestId: string;
  hash: Buffer;
};
