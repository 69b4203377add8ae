-- The history of a user has failed second steps too.
DROP INDEX audit_events_user_history_idx;
CREATE INDEX audit_events_user_history_idx ON audit_events (user_id, seq)
  WHERE type IN ('login_succeeded', 'login_failed', 'factor_failed', 'mail_sent', 'mail_expired', 'mail_failed');
