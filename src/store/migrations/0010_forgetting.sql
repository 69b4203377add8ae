-- The identity that a session was begun with; null for a password. No foreign key: the session goes on being what it was.
ALTER TABLE sessions ADD COLUMN identity_id uuid;
-- For those who go with their sessions, the ended ones too.
CREATE INDEX sessions_user_id_idx ON sessions (user_id);

-- People who are gone, and of whom audit events still say where they were; 0012_audit_chain.sql forgets it. A trigger, so that
-- whoever deletes a user, the service or an operator by SQL, asks for it.
CREATE TABLE erasures (
  user_id uuid CONSTRAINT erasures_pkey PRIMARY KEY,
  deleted_at timestamptz NOT NULL
);
CREATE FUNCTION ask_for_erasure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO erasures VALUES (OLD.id, now()) ON CONFLICT DO NOTHING;
  -- Mails that were given up, and that name an address and no user.
  DELETE FROM outbox WHERE topic = 'mail' AND dead_at IS NOT NULL
    AND OLD.email IN (payload ->> 'email', payload ->> 'accountEmail');
  RETURN NULL;
END
$$;
CREATE TRIGGER users_erased AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION ask_for_erasure();
