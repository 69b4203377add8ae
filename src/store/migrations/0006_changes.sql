-- What verifiers must hear of: sessions that ended, users whose tokens are not good any more, keys that changed. Triggers
-- write it, so that whoever makes the change, the service or an operator by SQL, makes the record in the same transaction.

-- Counts the sets of claims that the user's tokens have had; tokens carry it. What changes the claims, or ends the user's
-- right to sign in, makes it higher.
ALTER TABLE users ADD COLUMN claims_epoch integer NOT NULL DEFAULT 1;
-- The transaction that made the user; xmin would tell the one that wrote the row last.
ALTER TABLE users ADD COLUMN created_xid xid8 DEFAULT pg_current_xact_id();

CREATE TABLE changes (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT changes_pkey PRIMARY KEY,
  -- The transaction that made it. Ids are given before the commit, so a row may appear after one with a higher id. Who has
  -- read as of one snapshot asks for what was not visible in it, and misses nothing (src/store/changes.ts).
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  kind text NOT NULL,
  session_id uuid,
  user_id uuid,
  -- tokens of the user with a lower epoch carry old claims
  stale_below integer,
  -- tokens of the user with a lower epoch are good no more
  revoked_below integer,
  CONSTRAINT changes_kind CHECK (CASE kind
    WHEN 'session_ended' THEN num_nonnulls(session_id) = 1 AND num_nonnulls(user_id, stale_below, revoked_below) = 0
    WHEN 'user_changed' THEN num_nulls(session_id) = 1 AND num_nonnulls(user_id, stale_below, revoked_below) = 3
    WHEN 'keys_changed' THEN num_nonnulls(session_id, user_id, stale_below, revoked_below) = 0
    ELSE false END)
);
CREATE INDEX changes_xid_idx ON changes (xid);
CREATE INDEX changes_changed_at_idx ON changes (changed_at);

CREATE FUNCTION notify_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NOTIFY latchkey_changes;
  RETURN NULL;
END
$$;
CREATE TRIGGER changes_notify AFTER INSERT ON changes FOR EACH STATEMENT EXECUTE FUNCTION notify_changes();

CREATE FUNCTION record_session_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO changes (kind, session_id) VALUES ('session_ended', OLD.id);
  RETURN NULL;
END
$$;
CREATE TRIGGER sessions_ended AFTER UPDATE OF ended_at ON sessions FOR EACH ROW
  WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION record_session_end();
-- A token lives no longer than its session; a minute is for clocks that differ.
CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions FOR EACH ROW
  WHEN (OLD.ended_at IS NULL AND OLD.expires_at > now() - interval '1 minute') EXECUTE FUNCTION record_session_end();

CREATE FUNCTION raise_claims_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.claims_epoch := OLD.claims_epoch + 1;
  RETURN NEW;
END
$$;
CREATE TRIGGER users_claims_epoch BEFORE UPDATE ON users FOR EACH ROW
  WHEN (OLD.email <> NEW.email OR (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL))
  EXECUTE FUNCTION raise_claims_epoch();

CREATE FUNCTION raise_claims_epoch_for_roles() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  -- A user made by this very transaction has no tokens yet.
  UPDATE users SET claims_epoch = claims_epoch + 1
    WHERE id IN (OLD.user_id, NEW.user_id) AND created_xid IS DISTINCT FROM pg_current_xact_id();
  RETURN NULL;
END
$$;
CREATE TRIGGER user_roles_changed AFTER INSERT OR UPDATE OF user_id, role OR DELETE ON user_roles
  FOR EACH ROW EXECUTE FUNCTION raise_claims_epoch_for_roles();

CREATE FUNCTION record_user_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO changes (kind, user_id, stale_below, revoked_below)
      VALUES ('user_changed', OLD.id, OLD.claims_epoch + 1, OLD.claims_epoch + 1);
  ELSE
    INSERT INTO changes (kind, user_id, stale_below, revoked_below)
      VALUES ('user_changed', NEW.id, NEW.claims_epoch, CASE WHEN NEW.disabled_at IS NULL THEN 0 ELSE NEW.claims_epoch END);
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER users_changed AFTER UPDATE ON users FOR EACH ROW
  WHEN (OLD.claims_epoch <> NEW.claims_epoch) EXECUTE FUNCTION record_user_change();
CREATE TRIGGER users_deleted AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION record_user_change();

CREATE FUNCTION record_key_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO changes (kind) VALUES ('keys_changed');
  RETURN NULL;
END
$$;
CREATE TRIGGER signing_keys_changed AFTER INSERT OR UPDATE OR DELETE ON signing_keys
  FOR EACH STATEMENT EXECUTE FUNCTION record_key_change();

-- Removes up to so many changes that stop no living token any more: a token lives an hour at the most. Returns how many it
-- removed. The service cannot delete others.
CREATE FUNCTION prune_changes(at_most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH pruned AS (
    DELETE FROM changes WHERE id IN (
      SELECT id FROM changes WHERE changed_at < now() - interval '2 hours' ORDER BY changed_at LIMIT at_most
      FOR UPDATE SKIP LOCKED)
    RETURNING id)
  SELECT count(*) FROM pruned
$$;
REVOKE ALL ON FUNCTION prune_changes FROM PUBLIC;

GRANT SELECT ON changes TO latchkey_service;
GRANT EXECUTE ON FUNCTION prune_changes TO latchkey_service;
