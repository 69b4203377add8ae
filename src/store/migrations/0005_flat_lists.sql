-- Lists and searches read a bounded number of rows, however many accounts exist (docs/performance.md, "Growth").

-- An index finds a prefix only in byte order. The search sorts by the column, and every other use compares for equality.
-- The type of a column in the condition of a trigger cannot change, so the trigger is created again.
DROP TRIGGER users_claims_epoch ON users;
ALTER TABLE users ALTER COLUMN email TYPE text COLLATE "C";
CREATE TRIGGER users_claims_epoch BEFORE UPDATE ON users FOR EACH ROW
  WHEN (
    OLD.email <> NEW.email
    OR (OLD.email_verified_at IS NULL) <> (NEW.email_verified_at IS NULL)
    OR OLD.password_epoch <> NEW.password_epoch
    OR (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL)
  )
  EXECUTE FUNCTION raise_claims_epoch();
ALTER TABLE service_accounts ALTER COLUMN name TYPE text COLLATE "C";

CREATE INDEX users_disabled_id_idx ON users (id) WHERE disabled_at IS NOT NULL;
CREATE INDEX users_disabled_email_idx ON users (email) WHERE disabled_at IS NOT NULL;

-- The holders of a role in the order of their ids, without a visit to the table.
CREATE INDEX user_roles_role_user_id_idx ON user_roles (role, user_id) INCLUDE (expires_at);
DROP INDEX user_roles_role_idx;

CREATE INDEX api_keys_expires_at_idx ON api_keys (expires_at) WHERE revoked_at IS NULL;

-- Events that were recorded long after they occurred, or by a process with a wrong clock. For all others the time of the
-- recording, which grows with seq, leads to the events of a time.
CREATE INDEX audit_events_displaced_idx ON audit_events (occurred_at)
  WHERE CASE WHEN recorded_at - occurred_at BETWEEN interval '-1 minute' AND interval '1 minute' THEN 0 ELSE 1 END = 1;

-- A range of ids, so that no plan reads the whole table.
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
  is_after text := CASE WHEN after IS NULL THEN '$1 IS NULL' ELSE 'id > $1' END;
BEGIN
  IF is_over IS NULL THEN
    RAISE EXCEPTION 'the rows of % are not removed by age', what;
  END IF;
  EXECUTE format('SELECT id FROM (SELECT id FROM %1$I WHERE %2$s ORDER BY id LIMIT $2) AS page ORDER BY id DESC LIMIT 1', what, is_after)
    INTO next USING after, page_size;
  EXECUTE format('DELETE FROM %1$I WHERE %2$s AND id <= $2 AND %3$s < now() - interval ''7 days''', what, is_after, is_over)
    USING after, next;
  GET DIAGNOSTICS removed = ROW_COUNT;
  RETURN NEXT;
END
$$;
