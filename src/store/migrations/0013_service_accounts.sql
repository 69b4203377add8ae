-- Services that call: accounts of their own, with roles as users have them, and API keys, of which only a hash is kept.

CREATE TABLE service_accounts (
  id uuid CONSTRAINT service_accounts_pkey PRIMARY KEY,
  name text NOT NULL CONSTRAINT service_accounts_name_key UNIQUE
    CONSTRAINT service_accounts_name_form CHECK (name ~ '^[a-z][a-z0-9-]{0,62}$' AND name <> 'latchkey'),
  description text NOT NULL,
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  disabled_at timestamptz,
  -- as of users
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
  -- null: never
  expires_at timestamptz,
  revoked_at timestamptz,
  -- to the minute
  last_used_at timestamptz
);
CREATE INDEX api_keys_service_account_id_idx ON api_keys (service_account_id);

CREATE FUNCTION roles_of_service(which uuid, at timestamptz) RETURNS text[]
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT ARRAY(
    SELECT DISTINCT implied COLLATE "C" FROM service_account_roles JOIN role_closure USING (role)
    WHERE service_account_id = which AND (expires_at IS NULL OR expires_at > at)
    ORDER BY 1)
$$;

-- Verifiers know of a service's tokens what they know of a user's: the account is the user, and the key the session.
CREATE TRIGGER service_accounts_claims_epoch BEFORE UPDATE ON service_accounts FOR EACH ROW
  WHEN (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL) EXECUTE FUNCTION raise_claims_epoch();
CREATE TRIGGER service_accounts_changed AFTER UPDATE ON service_accounts FOR EACH ROW
  WHEN (OLD.claims_epoch <> NEW.claims_epoch) EXECUTE FUNCTION record_user_change();
CREATE TRIGGER service_accounts_deleted AFTER DELETE ON service_accounts FOR EACH ROW EXECUTE FUNCTION record_user_change();
CREATE TRIGGER api_keys_revoked AFTER UPDATE OF revoked_at ON api_keys FOR EACH ROW
  WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION record_session_end();
CREATE TRIGGER api_keys_deleted AFTER DELETE ON api_keys FOR EACH ROW
  WHEN (OLD.revoked_at IS NULL) EXECUTE FUNCTION record_session_end();

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

CREATE TRIGGER service_accounts_no_truncate BEFORE TRUNCATE ON service_accounts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER service_account_roles_no_truncate BEFORE TRUNCATE ON service_account_roles
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER api_keys_no_truncate BEFORE TRUNCATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

GRANT SELECT, INSERT, UPDATE, DELETE ON service_accounts, service_account_roles, api_keys TO latchkey_service;
