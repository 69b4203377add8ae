/** Why a session ended before its expiry. Stored: a word never changes its meaning. */
export type SessionEndReason =
  | 'logged_out'
  /** By RevokeSession or RevokeOtherSessions. */
  | 'revoked'
  | 'too_many_sessions'
  | 'refresh_token_reused'
  | 'password_changed'
  | 'password_reset'
  | 'email_change_undone'
  | 'identity_unlinked'
  | 'factor_removed'
  | 'user_disabled'
  | 'new_password_required'
  | 'ended_by_administrator';

/** `by` is the actor of an administrative change. The user caused the others, or the service. */
export type SessionEnd = { reason: SessionEndReason; by?: string };
