-- The identity that a session was begun with; null for a password. No foreign key: the session goes on being what it was.
ALTER TABLE sessions ADD COLUMN identity_id uuid;
-- For those who go with their sessions, the ended ones too.
CREATE INDEX sessions_user_id_idx ON sessions (user_id);

-- People who are gone, and of whom audit events still say where they were. A trigger, so that whoever deletes a user, the service
-- or an operator by SQL, asks for it.
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

-- Takes address and user agent out of up to so many events of a user who is gone. What else an event says stays: who, by an id
-- that is nobody's any more; what; when. Returns how many events it changed, null when there is nobody to forget. The service
-- cannot do that to users who are there.
CREATE FUNCTION erase_traces(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  gone uuid;
  erased integer;
BEGIN
  SELECT user_id INTO gone FROM erasures
    WHERE deleted_at < now() - interval '1 minute'
      AND NOT EXISTS (SELECT FROM users WHERE users.id = erasures.user_id)
      -- Not before the last event from while they were there has been recorded, and the last mail to them sent or given up.
      AND NOT EXISTS (SELECT FROM outbox
        WHERE dead_at IS NULL AND payload ->> 'userId' = erasures.user_id::text)
    ORDER BY deleted_at LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF gone IS NULL THEN
    RETURN NULL;
  END IF;
  UPDATE audit_events SET address = '', user_agent = ''
    WHERE (occurred_at, id) IN (
      SELECT occurred_at, id FROM audit_events
      WHERE user_id = gone AND (address <> '' OR user_agent <> '')
      LIMIT at_most);
  GET DIAGNOSTICS erased = ROW_COUNT;
  IF erased < at_most THEN
    DELETE FROM outbox WHERE topic = 'mail' AND payload ->> 'userId' = gone::text;
    UPDATE outbox SET payload = jsonb_set(payload, '{origin}', '{"address": "", "userAgent": "", "requestId": ""}')
      WHERE topic = 'audit' AND payload ->> 'userId' = gone::text;
    DELETE FROM erasures WHERE user_id = gone;
  END IF;
  RETURN erased;
END
$$;
REVOKE ALL ON FUNCTION erase_traces FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_traces TO latchkey_service;
