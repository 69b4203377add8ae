-- Second factors, and the strength of sessions. Strengths are compared by their rank.

CREATE FUNCTION acr_rank(acr text) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT (CASE acr WHEN 'pwd' THEN 1 WHEN 'mfa' THEN 2 WHEN 'phr' THEN 3 END)::smallint
$$;

-- A session of the release before has no factor.
ALTER TABLE sessions
  ADD COLUMN acr text NOT NULL DEFAULT 'pwd' CONSTRAINT sessions_acr CHECK (acr_rank(acr) IS NOT NULL),
  ADD COLUMN amr text[] NOT NULL DEFAULT '{}',
  -- the last authentication of this strength; null for the begin of the session
  ADD COLUMN authenticated_at timestamptz,
  -- the factors of the sign-in and of later step-ups; no foreign key: the session outlives a factor
  ADD COLUMN factor_ids uuid[] NOT NULL DEFAULT '{}',
  -- whether the last re-authentication used a factor
  ADD COLUMN reauthenticated_by_factor boolean NOT NULL DEFAULT false;

CREATE TABLE factors (
  id uuid CONSTRAINT factors_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT factors_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  kind text NOT NULL CONSTRAINT factors_kind CHECK (kind IN ('totp', 'passkey')),
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz,
  -- encrypted under a key derived from the master key
  totp_secret bytea,
  -- the newest time step whose code was used
  totp_step bigint,
  credential_id bytea CONSTRAINT factors_credential_id_key UNIQUE
    CONSTRAINT factors_credential_id_size CHECK (octet_length(credential_id) BETWEEN 1 AND 1023),
  -- COSE_Key
  public_key bytea,
  sign_count bigint,
  user_handle bytea,
  transports text[],
  backed_up boolean,
  -- null for an imported passkey
  backup_eligible boolean,
  CONSTRAINT factors_columns CHECK (CASE kind
    WHEN 'totp' THEN num_nonnulls(totp_secret, totp_step) = 2
      AND num_nonnulls(credential_id, public_key, sign_count, user_handle, transports, backed_up, backup_eligible) = 0
    ELSE num_nonnulls(totp_secret, totp_step) = 0
      AND num_nulls(credential_id, public_key, sign_count, user_handle, transports, backed_up) = 0 END)
);
CREATE INDEX factors_user_id_idx ON factors (user_id);

-- One row a code.
CREATE TABLE recovery_codes (
  user_id uuid NOT NULL CONSTRAINT recovery_codes_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  mac bytea NOT NULL,
  used_at timestamptz,
  CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, mac)
);

-- Sign-ins between their two steps, step-ups, and factors to be added. The 32 bytes that a passkey signs are derived from the id
-- and not stored.
CREATE TABLE challenges (
  id uuid CONSTRAINT challenges_pkey PRIMARY KEY,
  purpose text NOT NULL
    CONSTRAINT challenges_purpose CHECK (purpose IN ('sign_in', 'passkey_sign_in', 'step_up', 'add_totp', 'add_passkey')),
  -- null until the passkey of a passkey_sign_in names the user
  user_id uuid CONSTRAINT challenges_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  session_id uuid,
  password_epoch integer,
  network text NOT NULL,
  audiences text[],
  -- the methods of the first step
  amr text[] NOT NULL DEFAULT '{}',
  identity_id uuid,
  provider text,
  provider_authenticated_at timestamptz,
  -- a factor to be added: its name, and the encrypted secret of an authenticator app
  factor_name text,
  totp_secret bytea,
  -- whether the sign-in must add a factor
  enrols boolean NOT NULL DEFAULT false,
  -- the strength that a step-up must reach
  acr text NOT NULL DEFAULT 'pwd' CONSTRAINT challenges_acr CHECK (acr_rank(acr) IS NOT NULL),
  wrong_codes integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CONSTRAINT challenges_user CHECK ((user_id IS NULL) = (purpose = 'passkey_sign_in')),
  CONSTRAINT challenges_session CHECK ((session_id IS NULL) = (purpose IN ('sign_in', 'passkey_sign_in')))
);
CREATE INDEX challenges_user_id_idx ON challenges (user_id);

-- The users that must have a factor.
CREATE TABLE factor_policy (
  is_only boolean CONSTRAINT factor_policy_pkey PRIMARY KEY DEFAULT true CONSTRAINT factor_policy_one CHECK (is_only),
  scope text NOT NULL DEFAULT 'none' CONSTRAINT factor_policy_scope CHECK (scope IN ('none', 'roles', 'all')),
  roles text[] NOT NULL DEFAULT '{}',
  grace_seconds integer NOT NULL DEFAULT 0 CONSTRAINT factor_policy_grace CHECK (grace_seconds >= 0),
  changed_at timestamptz,
  CONSTRAINT factor_policy_roles CHECK ((scope = 'roles') = (cardinality(roles) > 0))
);
INSERT INTO factor_policy DEFAULT VALUES;

-- An administrator removed a factor. The account has no grace period then.
ALTER TABLE users ADD COLUMN factor_removed_at timestamptz;

-- When the user must have a factor; null for never. The grace period begins with the last of: the change of the policy, the
-- creation of the account, and the grant of the role.
CREATE FUNCTION factor_required_at(which uuid, at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT CASE
    WHEN scope = 'all' OR held.since IS NOT NULL THEN
      CASE WHEN users.factor_removed_at IS NOT NULL THEN users.factor_removed_at
      ELSE greatest(changed_at, users.created_at, CASE scope WHEN 'roles' THEN held.since END)
        + make_interval(secs => grace_seconds) END
    END
  FROM factor_policy, users, LATERAL (
    SELECT min(granted_at) AS since FROM user_roles JOIN role_closure USING (role)
    WHERE user_id = users.id AND implied = ANY (factor_policy.roles) AND (expires_at IS NULL OR expires_at > at)) AS held
  WHERE users.id = which AND scope <> 'none'
$$;

-- A role can require a strength. The closure has the least strength that leads from the role to the implied one.
ALTER TABLE roles ADD COLUMN required_acr text NOT NULL DEFAULT 'pwd'
  CONSTRAINT roles_required_acr CHECK (acr_rank(required_acr) IS NOT NULL);
ALTER TABLE role_closure ADD COLUMN strength smallint NOT NULL DEFAULT 1;

CREATE OR REPLACE VIEW role_walk AS
  WITH RECURSIVE walk (role, implied, strength) AS (
    SELECT name, name, acr_rank(required_acr) FROM roles
    UNION
    SELECT walk.role, step.implies, greatest(walk.strength, acr_rank(roles.required_acr))
    FROM walk JOIN role_implications AS step ON step.role = walk.implied JOIN roles ON roles.name = step.implies)
  SELECT role, implied, min(strength) AS strength FROM walk GROUP BY role, implied;

CREATE OR REPLACE FUNCTION rebuild_role_closure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  next_epoch integer;
  changed text[];
BEGIN
  -- Two concurrent changes could form a circle that neither sees. The second one waits, and its next statement sees the first.
  PERFORM pg_advisory_xact_lock(hashtext('latchkey roles'));
  IF EXISTS (SELECT FROM role_implications WHERE (implies, role) IN (SELECT role, implied FROM role_walk)) THEN
    RAISE check_violation USING MESSAGE = 'roles would imply one another in a circle', CONSTRAINT = 'role_implications_no_circle';
  END IF;

  -- A new role is not among them: no account holds it yet.
  SELECT array_agg(DISTINCT role) INTO changed FROM (
    (TABLE role_walk EXCEPT TABLE role_closure) UNION ALL (TABLE role_closure EXCEPT TABLE role_walk)
  ) AS difference WHERE role IN (SELECT role FROM role_closure);
  IF changed IS NOT NULL THEN
    UPDATE roles_epoch SET epoch = epoch + 1 RETURNING epoch INTO next_epoch;
    UPDATE roles SET epoch = next_epoch WHERE name = ANY (changed);
    INSERT INTO changes (kind, role, stale_below) SELECT 'role_changed', role, next_epoch FROM unnest(changed) AS role;
  END IF;

  DELETE FROM role_closure WHERE (role, implied) NOT IN (SELECT role, implied FROM role_walk);
  INSERT INTO role_closure TABLE role_walk ON CONFLICT (role, implied) DO UPDATE SET strength = EXCLUDED.strength;
  RETURN NULL;
END
$$;
CREATE TRIGGER roles_strength_closure AFTER UPDATE OF required_acr ON roles
  FOR EACH STATEMENT EXECUTE FUNCTION rebuild_role_closure();

-- The roles that a session of this strength has, granted or implied, sorted.
CREATE FUNCTION roles_of_session(which uuid, at timestamptz, acr text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT ARRAY(
    SELECT DISTINCT implied COLLATE "C" FROM user_roles JOIN role_closure USING (role)
    WHERE user_id = which AND (expires_at IS NULL OR expires_at > at) AND strength <= acr_rank(acr)
    ORDER BY 1)
$$;

-- The least strength that the user needs for every role: 1 without a role that requires one.
CREATE FUNCTION strength_of_roles(which uuid, at timestamptz) RETURNS smallint
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT coalesce(max(strength), 1::smallint) FROM user_roles JOIN role_closure USING (role)
  WHERE user_id = which AND (expires_at IS NULL OR expires_at > at)
$$;

CREATE OR REPLACE FUNCTION remove_expired(what text, after uuid, page_size integer) RETURNS TABLE (next uuid, removed integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  is_over text := CASE what
    WHEN 'sessions' THEN 'least(coalesce(ended_at, expires_at), expires_at)'
    WHEN 'password_resets' THEN 'expires_at'
    WHEN 'email_verifications' THEN 'expires_at'
    WHEN 'email_changes' THEN 'undo_ends_at(asked_at, changed_at)'
    WHEN 'oauth_flows' THEN 'expires_at'
    WHEN 'challenges' THEN 'expires_at'
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
