-- Sensitive changes require that the user of a session has authenticated lately (src/domain/reauthentication.ts).
ALTER TABLE sessions
  -- when the password was given last, after the sign-in
  ADD COLUMN reauthenticated_at timestamptz,
  -- the number of the refresh token that was given out then: access tokens with a lower one do not gain by it
  ADD COLUMN reauthenticated_counter bigint NOT NULL DEFAULT 0,
  -- when the user authenticated at the identity provider that the session was begun with, as the provider says
  ADD COLUMN provider_authenticated_at timestamptz;

-- Whether the provider was asked to authenticate the user anew (OpenID Connect Core 1.0 section 3.1.2.1, max_age=0).
ALTER TABLE oauth_flows ADD COLUMN reauthenticate boolean NOT NULL DEFAULT false;

-- Changes of an account's address. The owner of the former address can undo one while it is pending, and for 7 days after it was
-- made. The id is that of the undo token.
CREATE TABLE email_changes (
  id uuid CONSTRAINT email_changes_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT email_changes_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  old_email text NOT NULL,
  old_email_verified_at timestamptz,
  asked_at timestamptz NOT NULL,
  -- null while the new address is not confirmed
  changed_at timestamptz,
  -- undone, by this one or by an earlier one
  ended_at timestamptz
);
CREATE INDEX email_changes_user_id_idx ON email_changes (user_id);
CREATE INDEX email_changes_old_email_idx ON email_changes (old_email) WHERE ended_at IS NULL;
ALTER TABLE email_verifications
  ADD COLUMN email_change_id uuid
    CONSTRAINT email_verifications_email_change_id_fkey REFERENCES email_changes (id) ON DELETE CASCADE;
CREATE INDEX email_verifications_email_change_id_idx ON email_verifications (email_change_id);

-- Until when a change can be undone.
CREATE FUNCTION undo_ends_at(asked_at timestamptz, changed_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(changed_at, asked_at) + interval '168 hours'
$$;

-- Whether an address may have to go back to another account than this one (null: to any). From when the change is asked for, so
-- that the address is never free for a moment.
CREATE FUNCTION email_reserved(address text, for_user uuid, at timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM email_changes
    WHERE old_email = address AND user_id IS DISTINCT FROM for_user AND ended_at IS NULL
      AND undo_ends_at(asked_at, changed_at) > at)
$$;

-- As in 0014_housekeeping.sql, for changes of addresses as well.
CREATE OR REPLACE FUNCTION remove_expired(what text, after uuid, page_size integer) RETURNS TABLE (next uuid, removed integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  is_over text := CASE what
    WHEN 'sessions' THEN 'least(coalesce(ended_at, expires_at), expires_at)'
    WHEN 'password_resets' THEN 'expires_at'
    WHEN 'email_verifications' THEN 'expires_at'
    WHEN 'email_changes' THEN 'undo_ends_at(asked_at, changed_at)'
    WHEN 'oauth_flows' THEN 'expires_at'
  END;
BEGIN
  IF is_over IS NULL THEN
    RAISE EXCEPTION 'nothing of this name is removed';
  END IF;
  RETURN QUERY EXECUTE format('
    WITH page AS (SELECT id FROM %1$I WHERE $1 IS NULL OR id > $1 ORDER BY id LIMIT $2),
    gone AS (
      DELETE FROM %1$I WHERE id IN (SELECT id FROM page) AND %2$s < now() - interval ''7 days'' RETURNING id)
    SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1), (SELECT count(*)::integer FROM gone)', what, is_over)
    USING after, page_size;
END
$$;

GRANT SELECT, INSERT, UPDATE ON email_changes TO latchkey_service;
