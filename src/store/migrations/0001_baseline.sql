-- The whole schema of the first release. Privileges are not here: src/store/grants.ts has them, and every `migrate` grants them.
--
--   Users and roles          users, roles, role_implications, role_closure, user_roles
--   Sessions                 sessions
--   Tokens sent by mail      password_resets, email_changes, email_verifications, network_confirmations
--   Other identity providers identities, oauth_flows
--   Service accounts         service_accounts, service_account_roles, api_keys
--   Signing keys             signing_keys
--   Outbox                   outbox
--   Revocation feed          changes, and the triggers that write it
--   Audit trail              audit_events, audit_chain
--   Operation                processes, write_probes
--   Deletion                 erasures, and the functions that remove expired rows


-- Users and roles ------------------------------------------------------------------------------------------------------

CREATE TABLE users (
  id uuid CONSTRAINT users_pkey PRIMARY KEY,
  -- in canonical form, so that a plain unique index allows one account per address
  email text NOT NULL CONSTRAINT users_email_key UNIQUE
    CONSTRAINT users_email_size CHECK (octet_length(email) <= 254),
  full_name text NOT NULL,
  email_verified_at timestamptz,
  -- a PHC or bcrypt string; null for accounts that have no password
  password_hash text,
  -- raised by each change of the password; tokens sent by mail are valid for one epoch
  password_epoch integer NOT NULL DEFAULT 1,
  disabled_at timestamptz,
  created_at timestamptz NOT NULL,
  -- Access tokens carry it. A change of the claims, or of the right to sign in, raises it.
  claims_epoch integer NOT NULL DEFAULT 1,
  -- the transaction that inserted the row; xmin would name the last one that updated it
  created_xid xid8 DEFAULT pg_current_xact_id()
);

-- The kind of a stored password hash: everything but the salt and the digest, and the digest's length. The time that a
-- comparison takes depends on it, and every failed sign-in must take as long as the slowest kind in use.
CREATE FUNCTION password_hash_kind(hash text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE
    WHEN hash ~ '^\$2[aby]\$[0-9]{2}\$' THEN left(hash, 7)
    WHEN hash ~ '^\$(argon2(id|i|d)|scrypt|pbkdf2-sha(1|256|512))\$[^$]{1,64}\$' OR hash ~ '^pbkdf2_sha(1|256)\$[0-9]{1,8}\$' THEN
      left(regexp_replace(hash, '\$[^$]*\$[^$]*$', ''), 100) || ' ' || least(length(substring(hash FROM '[^$]*$')), 1000)
    ELSE 'unreadable'
  END
$$;
-- A few index probes find the kinds in use.
CREATE INDEX users_password_hash_kind_idx ON users (password_hash_kind(password_hash)) WHERE password_hash IS NOT NULL;

CREATE TABLE roles (
  name text CONSTRAINT roles_pkey PRIMARY KEY,
  description text NOT NULL,
  -- the role that an actor must hold to grant, revoke or redefine this one
  granter text NOT NULL DEFAULT 'admin' CONSTRAINT roles_granter_fkey REFERENCES roles (name),
  created_at timestamptz NOT NULL DEFAULT now(),
  -- the value of roles_epoch at the last change of the implied roles; tokens with this role and a lower value are stale
  epoch integer NOT NULL DEFAULT 0
);

-- Counts the changes of implied roles. Access tokens carry it. It never falls, also when a role is deleted.
CREATE TABLE roles_epoch (
  is_only boolean CONSTRAINT roles_epoch_pkey PRIMARY KEY DEFAULT true CONSTRAINT roles_epoch_one CHECK (is_only),
  epoch integer NOT NULL
);

CREATE TABLE role_implications (
  role text NOT NULL CONSTRAINT role_implications_role_fkey REFERENCES roles (name) ON DELETE CASCADE,
  implies text NOT NULL CONSTRAINT role_implications_implies_fkey REFERENCES roles (name),
  CONSTRAINT role_implications_pkey PRIMARY KEY (role, implies)
);

-- Each role with itself and with every role that it implies. Triggers maintain it.
CREATE TABLE role_closure (
  role text NOT NULL,
  implied text NOT NULL,
  CONSTRAINT role_closure_pkey PRIMARY KEY (role, implied)
);
CREATE INDEX role_closure_implied_idx ON role_closure (implied);

-- The content that role_closure must have.
CREATE VIEW role_walk AS
  WITH RECURSIVE walk (role, implied) AS (
    SELECT name, name FROM roles
    UNION
    SELECT walk.role, step.implies FROM walk JOIN role_implications AS step ON step.role = walk.implied)
  SELECT role, implied FROM walk;

-- These roles cannot be deleted (src/domain/role.ts). They are inserted before the triggers exist, so that the revocation
-- feed of a new database is empty.
INSERT INTO roles (name, description) VALUES
  ('user', 'Every account has this role'),
  ('admin', 'Can call the RPCs that require ADMIN access'),
  ('latchkey.roles.read', 'Reads the roles of users by their id'),
  ('latchkey.on-behalf-of', 'Names the client of a call (x-client-address, x-client-user-agent)');
INSERT INTO role_implications VALUES ('admin', 'user');
INSERT INTO roles_epoch (epoch) VALUES (0);
INSERT INTO role_closure TABLE role_walk;

CREATE TABLE user_roles (
  user_id uuid NOT NULL CONSTRAINT user_roles_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  role text NOT NULL CONSTRAINT user_roles_role_fkey REFERENCES roles (name),
  granted_at timestamptz NOT NULL,
  -- an actor as in audit events; null for the roles of a new account, and for grants made by SQL
  granted_by text,
  reason text NOT NULL DEFAULT '',
  expires_at timestamptz,
  CONSTRAINT user_roles_pkey PRIMARY KEY (user_id, role)
);
CREATE INDEX user_roles_expires_at_idx ON user_roles (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX user_roles_role_idx ON user_roles (role);

-- The roles that a user holds at a time, granted or implied, sorted.
CREATE FUNCTION roles_of_user(which uuid, at timestamptz) RETURNS text[]
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT ARRAY(
    SELECT DISTINCT implied COLLATE "C" FROM user_roles JOIN role_closure USING (role)
    WHERE user_id = which AND (expires_at IS NULL OR expires_at > at)
    ORDER BY 1)
$$;

-- The service cannot delete users except by this function, one at a time. Rows that reference the user are deleted with it.
-- The audit trail stays.
CREATE FUNCTION delete_user(which uuid) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  WITH deleted AS (DELETE FROM users WHERE id = which RETURNING id) SELECT EXISTS (SELECT FROM deleted)
$$;


-- Sessions -------------------------------------------------------------------------------------------------------------

-- A refresh updates its session's row in place; the fill factor leaves room for that on the page.
CREATE TABLE sessions (
  id uuid CONSTRAINT sessions_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT sessions_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  -- the number of the current refresh token
  counter bigint NOT NULL DEFAULT 1
    CONSTRAINT sessions_counter_range CHECK (counter BETWEEN 1 AND 4294967295),
  rotated_at timestamptz,
  -- the request_id of the refresh that issued the current refresh token
  rotation_request_id text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  -- each use moves it forward, up to ends_by
  expires_at timestamptz NOT NULL,
  ends_by timestamptz NOT NULL,
  ended_at timestamptz,
  -- the client's address and user agent at the last use, shown to the session's owner
  address text NOT NULL DEFAULT '',
  user_agent text NOT NULL DEFAULT '',
  -- The identity that the session was begun with; null for a password. No foreign key: the session outlives the identity.
  identity_id uuid,
  -- the last time that the user gave the password after the sign-in (src/domain/reauthentication.ts)
  reauthenticated_at timestamptz,
  -- the number of the refresh token that was issued then; access tokens with a lower number do not gain by it
  reauthenticated_counter bigint NOT NULL DEFAULT 0,
  -- the time at which the user authenticated at the identity provider, by the provider's own statement
  provider_authenticated_at timestamptz,
  -- `aud` of the session's access tokens; null for all audiences that the deployment has at the time
  audiences text[] CONSTRAINT sessions_audiences_not_empty CHECK (cardinality(audiences) > 0),
  CONSTRAINT sessions_expiry_order CHECK (expires_at <= ends_by)
) WITH (fillfactor = 80);
CREATE INDEX sessions_live_user_id_idx ON sessions (user_id) WHERE ended_at IS NULL;
-- for the cascade from users, which also reaches ended sessions
CREATE INDEX sessions_user_id_idx ON sessions (user_id);


-- Tokens sent by mail --------------------------------------------------------------------------------------------------

CREATE TABLE password_resets (
  -- the id of the outbox row that requested it
  id uuid CONSTRAINT password_resets_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT password_resets_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  password_epoch integer NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX password_resets_user_id_idx ON password_resets (user_id);

-- Changes of an account's address. The owner of the old address can undo one while it is pending, and for 7 days after it
-- was made.
CREATE TABLE email_changes (
  -- the id in the undo token
  id uuid CONSTRAINT email_changes_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT email_changes_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  old_email text NOT NULL,
  old_email_verified_at timestamptz,
  asked_at timestamptz NOT NULL,
  -- null until the new address is confirmed
  changed_at timestamptz,
  -- the time at which it was undone, directly or by the undoing of an earlier change
  ended_at timestamptz
);
CREATE INDEX email_changes_user_id_idx ON email_changes (user_id);
CREATE INDEX email_changes_old_email_idx ON email_changes (old_email) WHERE ended_at IS NULL;

-- The time until which a change can be undone.
CREATE FUNCTION undo_ends_at(asked_at timestamptz, changed_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(changed_at, asked_at) + interval '168 hours'
$$;

-- Whether an undo could still return the address to an account other than this one (null: to any account). The reservation
-- begins with the request for the change, so that the address is never free in between.
CREATE FUNCTION email_reserved(address text, for_user uuid, at timestamptz) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM email_changes
    WHERE old_email = address AND user_id IS DISTINCT FROM for_user AND ended_at IS NULL
      AND undo_ends_at(asked_at, changed_at) > at)
$$;

-- Proofs that mail to an address reaches its owner: the account's own address, or the one that will replace it.
CREATE TABLE email_verifications (
  -- the id of the outbox row that requested it
  id uuid CONSTRAINT email_verifications_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT email_verifications_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  -- the address to prove, in canonical form
  email text NOT NULL,
  -- the account's address at the time of the request; differs from email when the address is to be replaced
  account_email text NOT NULL,
  password_epoch integer NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  email_change_id uuid
    CONSTRAINT email_verifications_email_change_id_fkey REFERENCES email_changes (id) ON DELETE CASCADE
);
CREATE INDEX email_verifications_user_id_idx ON email_verifications (user_id);
CREATE INDEX email_verifications_email_change_id_idx ON email_verifications (email_change_id);

-- Mailed proofs that a network is the account owner's, for sign-ins while failed attempts restrict new networks. Each account
-- has at most one row, so expired rows need no sweep.
CREATE TABLE network_confirmations (
  user_id uuid CONSTRAINT network_confirmations_pkey PRIMARY KEY
    CONSTRAINT network_confirmations_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  -- the id of the outbox row that requested it
  id uuid NOT NULL CONSTRAINT network_confirmations_id_key UNIQUE,
  password_epoch integer NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);


-- Other identity providers ---------------------------------------------------------------------------------------------

-- Accounts at identity providers with which a user can sign in.
CREATE TABLE identities (
  id uuid CONSTRAINT identities_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT identities_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  -- the provider's name in the configuration, for display
  provider text NOT NULL,
  issuer text NOT NULL,
  subject text NOT NULL CONSTRAINT identities_subject_given CHECK (subject <> ''),
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  CONSTRAINT identities_issuer_subject_key UNIQUE (issuer, subject)
);
CREATE INDEX identities_user_id_idx ON identities (user_id);

-- Sign-ins in progress at a provider. Nonce, code verifier and the browser's secret are derived from the id and not stored.
CREATE TABLE oauth_flows (
  id uuid CONSTRAINT oauth_flows_pkey PRIMARY KEY,
  provider text NOT NULL,
  redirect_uri text NOT NULL,
  -- the user who links an identity; null for a sign-in
  user_id uuid CONSTRAINT oauth_flows_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  -- whether the provider must authenticate the user again (OpenID Connect Core 1.0 section 3.1.2.1, max_age=0)
  reauthenticate boolean NOT NULL DEFAULT false
);
CREATE INDEX oauth_flows_expires_at_idx ON oauth_flows (expires_at);
CREATE INDEX oauth_flows_user_id_idx ON oauth_flows (user_id);


-- Service accounts -----------------------------------------------------------------------------------------------------

CREATE TABLE service_accounts (
  id uuid CONSTRAINT service_accounts_pkey PRIMARY KEY,
  name text NOT NULL CONSTRAINT service_accounts_name_key UNIQUE
    CONSTRAINT service_accounts_name_form CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$' AND name <> 'latchkey'),
  description text NOT NULL,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  disabled_at timestamptz,
  -- as for users
  claims_epoch integer NOT NULL DEFAULT 1
);

CREATE TABLE service_account_roles (
  service_account_id uuid NOT NULL
    CONSTRAINT service_account_roles_account_fkey REFERENCES service_accounts (id) ON DELETE CASCADE,
  role text NOT NULL CONSTRAINT service_account_roles_role_fkey REFERENCES roles (name),
  granted_at timestamptz NOT NULL,
  granted_by text,
  reason text NOT NULL DEFAULT '',
  expires_at timestamptz,
  CONSTRAINT service_account_roles_pkey PRIMARY KEY (service_account_id, role)
);
CREATE INDEX service_account_roles_role_idx ON service_account_roles (role);

CREATE TABLE api_keys (
  id uuid CONSTRAINT api_keys_pkey PRIMARY KEY,
  service_account_id uuid NOT NULL
    CONSTRAINT api_keys_service_account_id_fkey REFERENCES service_accounts (id) ON DELETE CASCADE,
  name text NOT NULL,
  -- SHA-256; the key has 256 random bits
  hash bytea NOT NULL CONSTRAINT api_keys_hash_key UNIQUE,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  -- to the minute
  last_used_at timestamptz
);
CREATE INDEX api_keys_service_account_id_idx ON api_keys (service_account_id);

-- The roles that a service account holds at a time, granted or implied, sorted.
CREATE FUNCTION roles_of_service(which uuid, at timestamptz) RETURNS text[]
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT ARRAY(
    SELECT DISTINCT implied COLLATE "C" FROM service_account_roles JOIN role_closure USING (role)
    WHERE service_account_id = which AND (expires_at IS NULL OR expires_at > at)
    ORDER BY 1)
$$;


-- Signing keys ---------------------------------------------------------------------------------------------------------

-- A key is published, so that verifiers have it before it signs; then active; then retiring, while tokens that it signed are
-- valid; then retired (src/domain/key-schedule.ts has the times).
CREATE TABLE signing_keys (
  kid text CONSTRAINT signing_keys_pkey PRIMARY KEY,
  algorithm text NOT NULL CONSTRAINT signing_keys_algorithm CHECK (algorithm IN ('EdDSA', 'ES256')),
  -- PKCS #8, AES-256-GCM under a key derived from MASTER_KEY: 12 bytes IV, 16 bytes tag, ciphertext
  encrypted_private_key bytea,
  state text NOT NULL CONSTRAINT signing_keys_state CHECK (state IN ('published', 'active', 'retiring', 'retired')),
  created_at timestamptz NOT NULL,
  -- The key signs nothing before this time, whatever a process is configured to do: clients may cache the JWKS until then.
  signs_from timestamptz NOT NULL,
  activated_at timestamptz,
  retiring_at timestamptz,
  retired_at timestamptz,
  -- set by a trigger from the database's clock; the service can write any time to retired_at
  blanked_at timestamptz,
  CONSTRAINT signing_keys_signs_from CHECK (signs_from BETWEEN created_at AND created_at + interval '31 days'),
  -- A retired key has no private key.
  CONSTRAINT signing_keys_secret CHECK ((state = 'retired') = (encrypted_private_key IS NULL)),
  CONSTRAINT signing_keys_times CHECK (CASE state
    WHEN 'published' THEN num_nonnulls(activated_at, retiring_at, retired_at) = 0
    WHEN 'active' THEN activated_at IS NOT NULL AND num_nonnulls(retiring_at, retired_at) = 0
    WHEN 'retiring' THEN num_nonnulls(activated_at, retiring_at) = 2 AND retired_at IS NULL
    ELSE retired_at IS NOT NULL END)
);
CREATE UNIQUE INDEX signing_keys_one_published_idx ON signing_keys (state) WHERE state = 'published';
CREATE UNIQUE INDEX signing_keys_one_active_idx ON signing_keys (state) WHERE state = 'active';

CREATE FUNCTION check_signing_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
    ('published', 'active'), ('published', 'retired'), ('active', 'retiring'), ('active', 'retired'), ('retiring', 'retired')
  ) THEN
    RAISE EXCEPTION 'signing key % is %, and cannot become %', OLD.kid, OLD.state, NEW.state;
  END IF;
  IF (OLD.activated_at IS NOT NULL AND NEW.activated_at IS DISTINCT FROM OLD.activated_at)
    OR (OLD.retiring_at IS NOT NULL AND NEW.retiring_at IS DISTINCT FROM OLD.retiring_at)
    OR (OLD.retired_at IS NOT NULL AND NEW.retired_at IS DISTINCT FROM OLD.retired_at) THEN
    RAISE EXCEPTION 'the times of past changes of signing key % cannot be changed', OLD.kid;
  END IF;
  IF NEW.state = 'retired' AND OLD.state <> 'retired' THEN
    NEW.blanked_at := now();
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER signing_keys_order BEFORE UPDATE ON signing_keys FOR EACH ROW EXECUTE FUNCTION check_signing_key_change();

-- Deletes the keys that were retired 90 days ago and returns their number; the audit trail still names them. The service
-- cannot delete other keys.
CREATE FUNCTION remove_retired_keys() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  removed integer := 0;
BEGIN
  -- A DELETE without rows would also fire the statement trigger that writes to the revocation feed.
  IF EXISTS (SELECT FROM signing_keys WHERE blanked_at < now() - interval '90 days') THEN
    DELETE FROM signing_keys WHERE blanked_at < now() - interval '90 days';
    GET DIAGNOSTICS removed = ROW_COUNT;
  END IF;
  RETURN removed;
END
$$;


-- Outbox ---------------------------------------------------------------------------------------------------------------

-- Effects of committed changes that the worker has yet to carry out. A row is deleted when its effect is done.
CREATE TABLE outbox (
  id uuid CONSTRAINT outbox_pkey PRIMARY KEY,
  topic text NOT NULL CONSTRAINT outbox_topic CHECK (topic IN ('audit', 'mail')),
  payload jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  last_error text,
  -- the time at which the worker gave up; the row is kept for an operator
  dead_at timestamptz,
  -- The time at which the row is handed to the queue (again): a claim, and a row that is in the queue, push it ahead. The schedule
  -- is here and not in Redis, which may lose everything.
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  -- the retries of a mail are counted from here
  first_attempt_at timestamptz,
  -- While a worker sends the mail, no other one does.
  claimed_until timestamptz
) WITH (fillfactor = 80);
-- By topic, so that mails do not wait behind a backlog of events. `outbox list` reads it too.
CREATE INDEX outbox_due_idx ON outbox (topic, next_attempt_at, id) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead_idx ON outbox (dead_at, id) WHERE dead_at IS NOT NULL;


-- Operation ------------------------------------------------------------------------------------------------------------

-- Every process of the service that has run lately, for operators.
CREATE TABLE processes (
  id uuid CONSTRAINT processes_pkey PRIMARY KEY,
  api boolean NOT NULL,
  worker boolean NOT NULL,
  release text NOT NULL,
  host text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now(),
  -- how far the clock of its machine is ahead of the database's
  clock_ahead_ms integer NOT NULL
);

-- Has no rows that are visible. An insert that is rolled back takes up space like any other, so it fails where the disk is full.
CREATE UNLOGGED TABLE write_probes (filler bytea NOT NULL);

-- Inserts and rolls back, for readiness.
CREATE FUNCTION probe_write(filler bytea) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO write_probes VALUES (filler);
  RAISE EXCEPTION USING ERRCODE = 'LK000';
EXCEPTION WHEN SQLSTATE 'LK000' THEN
  NULL;
END
$$;


-- Revocation feed ------------------------------------------------------------------------------------------------------

-- Revocation events that verifiers receive: ended sessions, users and roles with new claims, new keys. Triggers write them in
-- the transaction of the change, whether the service or an operator makes it.
CREATE TABLE changes (
  id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT changes_pkey PRIMARY KEY,
  -- Ids are assigned before the commit, so a row can become visible after one with a higher id. A reader therefore continues
  -- from a snapshot: it requests the rows that its last snapshot did not contain (src/store/changes.ts).
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  kind text NOT NULL,
  session_id uuid,
  user_id uuid,
  -- tokens of the user or role with a lower epoch carry old claims
  stale_below integer,
  -- tokens of the user with a lower epoch are revoked
  revoked_below integer,
  role text,
  CONSTRAINT changes_kind CHECK (CASE kind
    WHEN 'session_ended' THEN num_nonnulls(session_id) = 1 AND num_nonnulls(user_id, stale_below, revoked_below, role) = 0
    WHEN 'user_changed' THEN num_nulls(session_id, role) = 2 AND num_nonnulls(user_id, stale_below, revoked_below) = 3
    WHEN 'role_changed' THEN num_nonnulls(role, stale_below) = 2 AND num_nonnulls(session_id, user_id, revoked_below) = 0
    WHEN 'keys_changed' THEN num_nonnulls(session_id, user_id, stale_below, revoked_below, role) = 0
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

-- Records of transactions that had ended by a time. prune_changes needs them: changed_at is the begin of a transaction, but
-- readers see its changes from the commit on.
CREATE TABLE changes_horizons (
  seen_at timestamptz CONSTRAINT changes_horizons_pkey PRIMARY KEY,
  -- every transaction with a lower id had ended by then
  settled_below xid8 NOT NULL,
  -- the cluster that these ids belong to: a dump may be restored into another one
  system_identifier bigint NOT NULL
);

-- Deletes up to at_most events that concern no valid token (an access token is valid for an hour at most) and returns their
-- number. The service cannot delete other events.
CREATE FUNCTION prune_changes(at_most integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  here bigint := (SELECT system_identifier FROM pg_control_system());
  settled xid8;
  pruned bigint;
BEGIN
  DELETE FROM changes_horizons
    WHERE system_identifier <> here OR settled_below > pg_snapshot_xmin(pg_current_snapshot());
  INSERT INTO changes_horizons
    SELECT now(), pg_snapshot_xmin(pg_current_snapshot()), here
    WHERE NOT EXISTS (SELECT FROM changes_horizons WHERE seen_at > now() - interval '1 minute')
    ON CONFLICT DO NOTHING;
  SELECT settled_below INTO settled FROM changes_horizons WHERE seen_at < now() - interval '2 hours' ORDER BY seen_at DESC LIMIT 1;
  DELETE FROM changes WHERE id IN (
    SELECT id FROM changes
    -- A transaction id that this cluster has not assigned yet comes from the cluster whose dump was restored here.
    WHERE xid < settled OR (xid >= pg_snapshot_xmax(pg_current_snapshot()) AND changed_at < now() - interval '2 hours')
    LIMIT at_most FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS pruned = ROW_COUNT;
  DELETE FROM changes_horizons WHERE settled_below < settled;
  RETURN pruned;
END
$$;

-- A session or an API key has ended. Verifiers treat the key as the session of its service account.
CREATE FUNCTION record_session_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO changes (kind, session_id) VALUES ('session_ended', OLD.id);
  RETURN NULL;
END
$$;
CREATE TRIGGER sessions_ended AFTER UPDATE OF ended_at ON sessions FOR EACH ROW
  WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION record_session_end();
-- A session whose end is moved into the past has ended. If the end only moves nearer, the session goes on until then, and its
-- access tokens stay valid until they expire.
CREATE TRIGGER sessions_shortened AFTER UPDATE OF ends_by ON sessions FOR EACH ROW
  WHEN (OLD.ended_at IS NULL AND NEW.ends_by < OLD.ends_by AND NEW.ends_by <= now() + interval '1 minute')
  EXECUTE FUNCTION record_session_end();
-- The tokens of an expired session have expired too. The minute allows for clocks that differ.
CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions FOR EACH ROW
  WHEN (OLD.ended_at IS NULL AND OLD.expires_at > now() - interval '1 minute') EXECUTE FUNCTION record_session_end();
CREATE TRIGGER api_keys_revoked AFTER UPDATE OF revoked_at ON api_keys FOR EACH ROW
  WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION record_session_end();
CREATE TRIGGER api_keys_deleted AFTER DELETE ON api_keys FOR EACH ROW
  WHEN (OLD.revoked_at IS NULL) EXECUTE FUNCTION record_session_end();

CREATE FUNCTION raise_claims_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.claims_epoch := OLD.claims_epoch + 1;
  RETURN NEW;
END
$$;
-- After a change of the password every older token is stale, also in the session that goes on: a thief may have one.
CREATE TRIGGER users_claims_epoch BEFORE UPDATE ON users FOR EACH ROW
  WHEN (
    OLD.email <> NEW.email
    OR (OLD.email_verified_at IS NULL) <> (NEW.email_verified_at IS NULL)
    OR OLD.password_epoch <> NEW.password_epoch
    OR (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL)
  )
  EXECUTE FUNCTION raise_claims_epoch();
CREATE TRIGGER service_accounts_claims_epoch BEFORE UPDATE ON service_accounts FOR EACH ROW
  WHEN (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL) EXECUTE FUNCTION raise_claims_epoch();

CREATE FUNCTION raise_claims_epoch_for_roles() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  -- No token carries a grant that has expired: tokens expire with it.
  IF TG_OP = 'DELETE' AND OLD.expires_at <= now() - interval '1 minute' THEN
    RETURN NULL;
  END IF;
  -- A user that this same transaction inserted has no tokens yet. In a restored dump created_xid is a number of another
  -- cluster, which this one can assign again; xmin is this cluster's.
  UPDATE users SET claims_epoch = claims_epoch + 1
    WHERE id IN (OLD.user_id, NEW.user_id)
      AND (created_xid IS DISTINCT FROM pg_current_xact_id() OR xmin <> pg_current_xact_id()::xid);
  RETURN NULL;
END
$$;
CREATE TRIGGER user_roles_changed AFTER INSERT OR UPDATE OF user_id, role, expires_at OR DELETE ON user_roles
  FOR EACH ROW EXECUTE FUNCTION raise_claims_epoch_for_roles();

CREATE FUNCTION raise_claims_epoch_for_service_roles() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE service_accounts SET claims_epoch = claims_epoch + 1 WHERE id IN (OLD.service_account_id, NEW.service_account_id);
  RETURN NULL;
END
$$;
CREATE TRIGGER service_account_roles_changed
  AFTER INSERT OR UPDATE OF service_account_id, role, expires_at OR DELETE ON service_account_roles
  FOR EACH ROW EXECUTE FUNCTION raise_claims_epoch_for_service_roles();

-- A user or a service account has new claims, is disabled or is deleted. Verifiers treat both alike.
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
CREATE TRIGGER service_accounts_changed AFTER UPDATE ON service_accounts FOR EACH ROW
  WHEN (OLD.claims_epoch <> NEW.claims_epoch) EXECUTE FUNCTION record_user_change();
CREATE TRIGGER service_accounts_deleted AFTER DELETE ON service_accounts FOR EACH ROW EXECUTE FUNCTION record_user_change();

CREATE FUNCTION record_key_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO changes (kind) VALUES ('keys_changed');
  RETURN NULL;
END
$$;
CREATE TRIGGER signing_keys_changed AFTER INSERT OR UPDATE OR DELETE ON signing_keys
  FOR EACH STATEMENT EXECUTE FUNCTION record_key_change();

CREATE FUNCTION rebuild_role_closure() RETURNS trigger
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

  DELETE FROM role_closure WHERE (role, implied) NOT IN (TABLE role_walk);
  INSERT INTO role_closure TABLE role_walk ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
CREATE TRIGGER role_implications_closure AFTER INSERT OR UPDATE OR DELETE ON role_implications
  FOR EACH STATEMENT EXECUTE FUNCTION rebuild_role_closure();
CREATE TRIGGER roles_closure AFTER INSERT OR DELETE ON roles
  FOR EACH STATEMENT EXECUTE FUNCTION rebuild_role_closure();

-- TRUNCATE does not fire row triggers, so it would revoke nothing.
CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'TRUNCATE of % would not revoke tokens at verifiers', TG_TABLE_NAME USING HINT = 'Use DELETE.';
END
$$;
CREATE TRIGGER users_no_truncate BEFORE TRUNCATE ON users FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER user_roles_no_truncate BEFORE TRUNCATE ON user_roles FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER sessions_no_truncate BEFORE TRUNCATE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER signing_keys_no_truncate BEFORE TRUNCATE ON signing_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER roles_no_truncate BEFORE TRUNCATE ON roles FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER role_implications_no_truncate BEFORE TRUNCATE ON role_implications
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER service_accounts_no_truncate BEFORE TRUNCATE ON service_accounts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER service_account_roles_no_truncate BEFORE TRUNCATE ON service_account_roles
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER api_keys_no_truncate BEFORE TRUNCATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();


-- Audit trail ----------------------------------------------------------------------------------------------------------

-- A hash chain. Each event has a sequence number and a hash over its content and over the hash of its predecessor, so a
-- changed, removed or moved event breaks the chain. src/domain/audit-chain.ts computes the same hashes outside the database.
CREATE TABLE audit_events (
  seq bigint NOT NULL,
  -- Grows with seq. Partitions are by this time, so that dropping the oldest leaves an unbroken rest.
  recorded_at timestamptz NOT NULL,
  id uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  type text NOT NULL,
  -- no foreign key: an event outlives its user
  user_id uuid,
  session_id uuid,
  -- keyed hash of an email
  account text,
  detail text,
  -- an administrative change: the actor, the target, and the target's state before and after
  actor text,
  target text,
  before jsonb,
  after jsonb,
  request_id text NOT NULL,
  -- The chain has only a salted digest of address and user agent. After an erasure they are empty, and the salt is null.
  address text NOT NULL,
  user_agent text NOT NULL,
  origin_salt bytea,
  origin_digest bytea NOT NULL,
  previous_hash bytea NOT NULL,
  hash bytea NOT NULL,
  CONSTRAINT audit_events_pkey PRIMARY KEY (recorded_at, seq)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX audit_events_seq_idx ON audit_events (seq);
CREATE INDEX audit_events_user_id_idx ON audit_events (user_id, seq);
CREATE INDEX audit_events_actor_idx ON audit_events (actor, seq) WHERE actor IS NOT NULL;
CREATE INDEX audit_events_type_idx ON audit_events (type, seq);

-- Accepts the events of months that have no partition, so that no event is lost.
CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;

-- Creates the partitions of this month and of the two that follow. The service can call it, and cannot create other tables.
CREATE FUNCTION ensure_audit_partitions() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  first_day timestamp;
  name text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('ensure_audit_partitions'));
  FOR ahead IN 0..2 LOOP
    first_day := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead);
    name := 'audit_events_' || to_char(first_day, 'YYYY_MM');
    CONTINUE WHEN to_regclass(name) IS NOT NULL;
    BEGIN
      EXECUTE format('CREATE TABLE %I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)',
        name, first_day AT TIME ZONE 'UTC', (first_day + interval '1 month') AT TIME ZONE 'UTC');
    EXCEPTION WHEN check_violation THEN
      -- A clock that was ahead has put events of that month into the default partition. They can stay there.
      RAISE WARNING 'audit_events_default holds events of %, which gets no partition of its own', name;
    END;
  END LOOP;
END
$$;
SELECT ensure_audit_partitions();

-- The end of the chain. Several workers append to one chain because each locks this row.
CREATE TABLE audit_chain (
  is_only boolean CONSTRAINT audit_chain_pkey PRIMARY KEY DEFAULT true CONSTRAINT audit_chain_one CHECK (is_only),
  seq bigint NOT NULL,
  hash bytea NOT NULL,
  recorded_at timestamptz NOT NULL
);
INSERT INTO audit_chain (seq, hash, recorded_at) VALUES (0, decode(repeat('00', 32), 'hex'), '-infinity');

-- A field as it is hashed: its length in bytes and its text, or a dash for null. Two different events never read the same.
CREATE FUNCTION audit_field(field text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(octet_length(field) || ':' || field, '-') $$;

CREATE FUNCTION audit_time(at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- Adds one event after the given end of the chain and returns the new end. The caller has locked the row of audit_chain, and
-- stores the new end there.
CREATE FUNCTION chain_audit_event(tail audit_chain, id uuid, occurred_at timestamptz, payload jsonb) RETURNS audit_chain
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  event audit_events;
BEGIN
  event.seq := tail.seq + 1;
  event.recorded_at := greatest(tail.recorded_at, clock_timestamp());
  event.previous_hash := tail.hash;
  event.id := id;
  event.occurred_at := occurred_at;
  event.type := payload ->> 'type';
  event.user_id := (payload ->> 'userId')::uuid;
  event.session_id := (payload ->> 'sessionId')::uuid;
  event.account := payload ->> 'account';
  event.detail := payload ->> 'detail';
  event.actor := payload ->> 'actor';
  event.target := payload ->> 'target';
  event.before := nullif(payload -> 'before', 'null');
  event.after := nullif(payload -> 'after', 'null');
  event.request_id := coalesce(payload -> 'origin' ->> 'requestId', '');
  event.address := coalesce(payload -> 'origin' ->> 'address', '');
  event.user_agent := coalesce(payload -> 'origin' ->> 'userAgent', '');
  event.origin_salt := uuid_send(gen_random_uuid());
  event.origin_digest := sha256(
    event.origin_salt || convert_to(audit_field(event.address) || audit_field(event.user_agent), 'UTF8'));
  event.hash := sha256(event.previous_hash || convert_to(concat(
    audit_field(event.seq::text), audit_field(audit_time(event.recorded_at)), audit_field(event.id::text),
    audit_field(audit_time(event.occurred_at)), audit_field(event.type), audit_field(event.user_id::text),
    audit_field(event.session_id::text), audit_field(event.account), audit_field(event.detail),
    audit_field(event.actor), audit_field(event.target), audit_field(event.before::text),
    audit_field(event.after::text), audit_field(event.request_id),
    audit_field(encode(event.origin_digest, 'hex'))), 'UTF8'));
  INSERT INTO audit_events VALUES (event.*);
  tail.seq := event.seq;
  tail.hash := event.hash;
  tail.recorded_at := event.recorded_at;
  RETURN tail;
END
$$;

-- Adds one event at the end of the chain; for use with audit_chain's row locked.
CREATE FUNCTION append_audit_event(id uuid, occurred_at timestamptz, payload jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  tail audit_chain;
BEGIN
  SELECT * INTO tail FROM audit_chain;
  tail := chain_audit_event(tail, id, occurred_at, payload);
  UPDATE audit_chain SET seq = tail.seq, hash = tail.hash, recorded_at = tail.recorded_at;
END
$$;

-- Moves these events from the outbox to the end of the chain, in the order of their ids. Events that are no longer in the outbox
-- were recorded before, so that a repetition changes nothing. Returns how many it moved. One event that the trail cannot hold
-- fails all of them. The service can add to the trail in this way and no other.
CREATE FUNCTION record_audit_events(wanted uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
-- Here too, because a pooler may pass over the setting of the connection: waiting for the chain must not hold its connections.
SET lock_timeout = '2s' AS $$
DECLARE
  tail audit_chain;
  entry record;
  recorded integer := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM outbox WHERE id = ANY (wanted) AND topic = 'audit') THEN
    RETURN 0;
  END IF;
  SELECT * INTO tail FROM audit_chain FOR UPDATE;
  FOR entry IN
    WITH taken AS (
      DELETE FROM outbox WHERE id = ANY (wanted) AND topic = 'audit' RETURNING id, created_at, payload)
    SELECT * FROM taken ORDER BY id
  LOOP
    -- These events explain gaps in the chain. Only the functions that make the gaps may write them.
    IF entry.payload ->> 'type' IN ('traces_erased', 'audit_events_dropped') THEN
      RAISE EXCEPTION 'the service cannot record events of type %', entry.payload ->> 'type';
    END IF;
    tail := chain_audit_event(tail, entry.id, entry.created_at, entry.payload);
    recorded := recorded + 1;
  END LOOP;
  IF recorded > 0 THEN
    UPDATE audit_chain SET seq = tail.seq, hash = tail.hash, recorded_at = tail.recorded_at;
  END IF;
  RETURN recorded;
END
$$;

-- Drops the partitions of whole months before a time, oldest first. Only the owner can shorten the trail. The chain goes on
-- with an event that names the dropped part, by which the rest can still be verified.
CREATE FUNCTION drop_audit_events(until timestamptz) RETURNS TABLE (dropped text, events bigint)
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  month record;
  went record;
BEGIN
  IF until > date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' THEN
    RAISE EXCEPTION 'the present month is not over yet';
  END IF;
  PERFORM FROM audit_chain FOR UPDATE;
  IF EXISTS (SELECT FROM audit_events_default WHERE recorded_at < until) THEN
    RAISE EXCEPTION 'audit_events_default holds events of the months to drop, without which the rest cannot be verified';
  END IF;
  FOR month IN
    SELECT relid::regclass::text AS name FROM pg_partition_tree('audit_events')
    WHERE isleaf AND relid::regclass::text ~ '^audit_events_\d{4}_\d{2}$'
    ORDER BY 1
  LOOP
    CONTINUE WHEN (to_date(right(month.name, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC' > until;
    EXECUTE format('SELECT count(*), min(seq), max(seq), (SELECT encode(hash, ''hex'') FROM %1$I ORDER BY seq DESC LIMIT 1) AS hash
      FROM %1$I', month.name) INTO went;
    IF went.count > 0 THEN
      PERFORM append_audit_event(gen_random_uuid(), clock_timestamp(), jsonb_build_object(
        'type', 'audit_events_dropped', 'actor', 'operator:' || session_user, 'target', 'partition:' || month.name,
        'before', jsonb_build_object('count', went.count, 'firstSeq', went.min, 'lastSeq', went.max, 'lastHash', went.hash)));
    END IF;
    EXECUTE format('DROP TABLE %I', month.name);
    dropped := month.name;
    events := went.count;
    RETURN NEXT;
  END LOOP;
END
$$;


-- Deletion -------------------------------------------------------------------------------------------------------------

-- Deleted users whose audit events still have an address and a user agent; erase_traces removes those. A trigger inserts the
-- row, whether the service or an operator deletes the user.
CREATE TABLE erasures (
  user_id uuid CONSTRAINT erasures_pkey PRIMARY KEY,
  deleted_at timestamptz NOT NULL
);

CREATE FUNCTION ask_for_erasure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO erasures VALUES (OLD.id, now()) ON CONFLICT DO NOTHING;
  -- Dead mails that name the address and not the user.
  DELETE FROM outbox WHERE topic = 'mail' AND dead_at IS NOT NULL
    AND OLD.email IN (payload ->> 'email', payload ->> 'accountEmail');
  RETURN NULL;
END
$$;
CREATE TRIGGER users_erased AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION ask_for_erasure();

-- Removes address and user agent from up to at_most events of a deleted user. The rest of the event stays: the id, which no
-- account has, the type and the time. Returns the number of changed events, null when no erasure is due. The service cannot
-- erase the traces of existing users.
CREATE FUNCTION erase_traces(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  gone uuid;
  erased integer;
BEGIN
  SELECT user_id INTO gone FROM erasures
    WHERE deleted_at < now() - interval '1 minute'
      AND NOT EXISTS (SELECT FROM users WHERE users.id = erasures.user_id)
      -- The user's last event must be recorded first, and the last mail to the user sent or dead.
      AND NOT EXISTS (SELECT FROM outbox
        WHERE dead_at IS NULL AND payload ->> 'userId' = erasures.user_id::text)
    ORDER BY deleted_at LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF gone IS NULL THEN
    RETURN NULL;
  END IF;
  UPDATE audit_events SET address = '', user_agent = '', origin_salt = NULL
    WHERE (recorded_at, seq) IN (
      SELECT recorded_at, seq FROM audit_events
      -- An event with an actor has the actor's address, not the user's.
      WHERE user_id = gone AND actor IS NULL AND origin_salt IS NOT NULL LIMIT at_most);
  GET DIAGNOSTICS erased = ROW_COUNT;
  -- By this event the chain tells an erasure from tampering.
  PERFORM FROM audit_chain FOR UPDATE;
  PERFORM append_audit_event(gen_random_uuid(), now(), jsonb_build_object('type', 'traces_erased', 'target', 'user:' || gone));
  IF erased < at_most THEN
    DELETE FROM outbox WHERE topic = 'mail' AND payload ->> 'userId' = gone::text;
    UPDATE outbox SET payload = jsonb_set(payload, '{origin}', '{"address": "", "userAgent": "", "requestId": ""}')
      WHERE topic = 'audit' AND payload ->> 'userId' = gone::text;
    DELETE FROM erasures WHERE user_id = gone;
  END IF;
  RETURN erased;
END
$$;

-- Deletes expired rows of a table, one page at a time. The sweeper walks from page to page by id, so it needs no further
-- index. Rows stay for a week after they expire, so that a late request gets the right reason. The service cannot delete others.
CREATE FUNCTION remove_expired(what text, after uuid, page_size integer) RETURNS TABLE (next uuid, removed integer)
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
    RAISE EXCEPTION 'the rows of % are not removed by age', what;
  END IF;
  RETURN QUERY EXECUTE format('
    WITH page AS (SELECT id FROM %1$I WHERE $1 IS NULL OR id > $1 ORDER BY id LIMIT $2),
    gone AS (
      DELETE FROM %1$I WHERE id IN (SELECT id FROM page) AND %2$s < now() - interval ''7 days'' RETURNING id)
    SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1), (SELECT count(*)::integer FROM gone)', what, is_over)
    USING after, page_size;
END
$$;
