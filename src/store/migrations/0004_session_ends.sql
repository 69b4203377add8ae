-- Why a session ended, and the actor of an administrative change that ended it. Null for sessions that the release before ended.
ALTER TABLE sessions ADD COLUMN end_reason text, ADD COLUMN ended_by text;

-- The latest sign-ins and e-mails of a user, of whose events most are refreshes.
CREATE INDEX audit_events_user_history_idx ON audit_events (user_id, seq)
  WHERE type IN ('login_succeeded', 'login_failed', 'mail_sent', 'mail_expired', 'mail_failed');

-- The e-mails of one user: those that are not sent, and the results that no worker has moved to the audit trail yet.
CREATE INDEX outbox_mails_user_idx ON outbox ((payload ->> 'userId'))
  WHERE topic = 'mail' OR payload ->> 'type' IN ('mail_sent', 'mail_expired', 'mail_failed');
CREATE INDEX outbox_mails_email_idx ON outbox ((payload ->> 'email')) WHERE topic = 'mail';
