-- Roles imply others; what somebody holds is the closure. Grants say who made them, when, why, and until when.

ALTER TABLE roles
  -- the role that one must hold to grant, revoke or redefine this one
  ADD COLUMN granter text NOT NULL DEFAULT 'admin' CONSTRAINT roles_granter_fkey REFERENCES roles (name),
  ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
  -- of roles_epoch, when what it implies changed last: tokens with the role and a lower one carry old claims
  ADD COLUMN epoch integer NOT NULL DEFAULT 0;
-- Counts the changes of what roles imply; tokens carry it. It never falls, whatever becomes of a role.
CREATE TABLE roles_epoch (
  is_only boolean CONSTRAINT roles_epoch_pkey PRIMARY KEY DEFAULT true CONSTRAINT roles_epoch_one CHECK (is_only),
  epoch integer NOT NULL
);
INSERT INTO roles_epoch (epoch) VALUES (0);

CREATE TABLE role_implications (
  role text NOT NULL CONSTRAINT role_implications_role_fkey REFERENCES roles (name) ON DELETE CASCADE,
  implies text NOT NULL CONSTRAINT role_implications_implies_fkey REFERENCES roles (name),
  CONSTRAINT role_implications_pkey PRIMARY KEY (role, implies)
);
-- Each role with itself and all that it implies; triggers keep it.
CREATE TABLE role_closure (
  role text NOT NULL,
  implied text NOT NULL,
  CONSTRAINT role_closure_pkey PRIMARY KEY (role, implied)
);
CREATE INDEX role_closure_implied_idx ON role_closure (implied);

ALTER TABLE user_roles
  -- as audit events name actors; null for what came with the account, and for what somebody did by SQL
  ADD COLUMN granted_by text,
  ADD COLUMN reason text NOT NULL DEFAULT '',
  ADD COLUMN expires_at timestamptz;
CREATE INDEX user_roles_expires_at_idx ON user_roles (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX user_roles_role_idx ON user_roles (role);

-- Verifiers hear of a role whose closure has changed: whoever carries it in a token carries old claims.
ALTER TABLE changes
  ADD COLUMN role text,
  DROP CONSTRAINT changes_kind,
  ADD CONSTRAINT changes_kind CHECK (CASE kind
    WHEN 'session_ended' THEN num_nonnulls(session_id) = 1 AND num_nonnulls(user_id, stale_below, revoked_below, role) = 0
    WHEN 'user_changed' THEN num_nulls(session_id, role) = 2 AND num_nonnulls(user_id, stale_below, revoked_below) = 3
    WHEN 'role_changed' THEN num_nonnulls(role, stale_below) = 2 AND num_nonnulls(session_id, user_id, revoked_below) = 0
    WHEN 'keys_changed' THEN num_nonnulls(session_id, user_id, stale_below, revoked_below, role) = 0
    ELSE false END);

-- What role_closure has to be.
CREATE VIEW role_walk AS
  WITH RECURSIVE walk (role, implied) AS (
    SELECT name, name FROM roles
    UNION
    SELECT walk.role, step.implies FROM walk JOIN role_implications AS step ON step.role = walk.implied)
  SELECT role, implied FROM walk;

CREATE FUNCTION rebuild_role_closure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  next_epoch integer;
  changed text[];
BEGIN
  -- Two changes at once could make a circle that neither sees; the second one waits, and its next statement sees the first.
  PERFORM pg_advisory_xact_lock(hashtext('latchkey roles'));
  IF EXISTS (SELECT FROM role_implications WHERE (implies, role) IN (SELECT role, implied FROM role_walk)) THEN
    RAISE check_violation USING MESSAGE = 'roles would imply one another in a circle', CONSTRAINT = 'role_implications_no_circle';
  END IF;

  -- Nobody holds a new one yet.
  SELECT array_agg(DISTINCT role) INTO changed FROM (
    (TABLE role_walk EXCEPT TABLE role_closure) UNION ALL (TABLE role_closure EXCEPT TABLE role_walk)
  ) AS difference WHERE role IN (SELECT role FROM role_closure);
  IF changed IS NOT NULL THEN
    UPDATE roles_epoch SET epoch = epoch + 1 RETURNING epoch INTO next_epoch;
    UPDATE roles SET epoch = next_epoch WHERE name = ANY (changed);
    INSERT INTO changes (kind, role, stale_below) SELECT 'role_changed', role, next_epoch FROM unnest(changed) AS role;
  END IF;

  DELETE FROM role_closure WHERE (role, implied) NOT IN (TABLE role_walk);
  INSERT INTO role_closure TABLE role_walk ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
CREATE TRIGGER role_implications_closure AFTER INSERT OR UPDATE OR DELETE ON role_implications
  FOR EACH STATEMENT EXECUTE FUNCTION rebuild_role_closure();
CREATE TRIGGER roles_closure AFTER INSERT OR DELETE ON roles
  FOR EACH STATEMENT EXECUTE FUNCTION rebuild_role_closure();
CREATE TRIGGER roles_no_truncate BEFORE TRUNCATE ON roles FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER role_implications_no_truncate BEFORE TRUNCATE ON role_implications
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

INSERT INTO role_implications VALUES ('admin', 'user');

-- What a user holds at a moment: what is granted then, and what that implies. Sorted.
CREATE FUNCTION roles_of_user(which uuid, at timestamptz) RETURNS text[]
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT ARRAY(
    SELECT DISTINCT implied COLLATE "C" FROM user_roles JOIN role_closure USING (role)
    WHERE user_id = which AND (expires_at IS NULL OR expires_at > at)
    ORDER BY 1)
$$;

-- What has run out counts no more anyway: tokens did not outlive it.
CREATE OR REPLACE FUNCTION raise_claims_epoch_for_roles() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' AND OLD.expires_at <= now() - interval '1 minute' THEN
    RETURN NULL;
  END IF;
  -- A user made by this very transaction has no tokens yet.
  UPDATE users SET claims_epoch = claims_epoch + 1
    WHERE id IN (OLD.user_id, NEW.user_id) AND created_xid IS DISTINCT FROM pg_current_xact_id();
  RETURN NULL;
END
$$;
DROP TRIGGER user_roles_changed ON user_roles;
CREATE TRIGGER user_roles_changed AFTER INSERT OR UPDATE OF user_id, role, expires_at OR DELETE ON user_roles
  FOR EACH ROW EXECUTE FUNCTION raise_claims_epoch_for_roles();

GRANT SELECT, INSERT, DELETE ON role_implications TO latchkey_service;
GRANT SELECT ON role_closure, roles_epoch TO latchkey_service;
GRANT INSERT, UPDATE (description, granter), DELETE ON roles TO latchkey_service;
GRANT UPDATE ON user_roles TO latchkey_service;
