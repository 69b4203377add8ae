-- Proofs that mail to an address reaches its owner: of the account's own address, or of one it is to have instead.
CREATE TABLE email_verifications (
  -- the id of the outbox row that asked for it
  id uuid CONSTRAINT email_verifications_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT email_verifications_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  -- what is proved, canonical form
  email text NOT NULL,
  -- the account's address when it was asked for; both are the same unless the address is to change
  account_email text NOT NULL,
  password_epoch integer NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX email_verifications_user_id_idx ON email_verifications (user_id);

-- Where a session was used last, for its owner to see.
ALTER TABLE sessions
  ADD COLUMN address text NOT NULL DEFAULT '',
  ADD COLUMN user_agent text NOT NULL DEFAULT '';

GRANT SELECT, INSERT, UPDATE ON email_verifications TO latchkey_service;
-- For owners who delete their account: one, and not all of them by a slip. What belongs to it goes with it; the audit trail stays.
CREATE FUNCTION delete_user(which uuid) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH deleted AS (DELETE FROM users WHERE id = which RETURNING id) SELECT EXISTS (SELECT FROM deleted)
$$;
REVOKE ALL ON FUNCTION delete_user FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_user TO latchkey_service;
