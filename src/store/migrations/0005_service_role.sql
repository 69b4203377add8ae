-- What the service may do. A login for it is a member of this role and owns nothing: it can neither alter the schema
-- nor change or delete an audit event.
DO $$
BEGIN
  -- Roles belong to the whole cluster: another database may have it, or an administrator has made it for an owner who may not.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'latchkey_service') THEN
    CREATE ROLE latchkey_service NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL; -- made by another migration at the same moment
END
$$;

GRANT USAGE ON SCHEMA public TO latchkey_service;
GRANT SELECT ON schema_migrations, roles TO latchkey_service;
GRANT SELECT, INSERT, UPDATE ON users, sessions, password_resets TO latchkey_service;
GRANT SELECT, INSERT, DELETE ON user_roles TO latchkey_service;
GRANT SELECT, INSERT ON signing_keys TO latchkey_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO latchkey_service;
GRANT SELECT, INSERT ON audit_events TO latchkey_service;
GRANT EXECUTE ON FUNCTION ensure_audit_partitions TO latchkey_service;
