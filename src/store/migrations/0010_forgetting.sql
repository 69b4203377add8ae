-- The identity that a session was begun with; null for a password. No foreign key: the session goes on being what it was.
ALTER TABLE sessions ADD COLUMN identity_id uuid;

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
  -- Mails that were given up name whom they were for.
  DELETE FROM outbox WHERE topic = 'mail' AND dead_at IS NOT NULL
    AND (OLD.email IN (payload ->> 'email', payload ->> 'accountEmail') OR payload ->> 'userId' = OLD.id::text);
  RETURN NULL;
END
$$;
CREATE TRIGGER users_erased AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION ask_for_erasure();

CREATE INDEX audit_events_account_idx ON audit_events (account) WHERE account IS NOT NULL;

-- Takes address and user agent out of up to so many events of users who are gone, and of their addresses' events that name no user.
-- What else an event says stays: who, by an id that is nobody's any more; what; when. Returns how many events it changed, null
-- when there is nobody to forget. The service cannot choose whose.
CREATE FUNCTION erase_traces(at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  gone uuid;
  erased integer;
BEGIN
  -- Not before the last event from while they were there has been recorded.
  SELECT user_id INTO gone FROM erasures
    WHERE deleted_at < now() - interval '1 minute' AND NOT EXISTS (
      SELECT FROM outbox WHERE topic = 'audit' AND dead_at IS NULL AND outbox.created_at < deleted_at + interval '1 minute')
    ORDER BY deleted_at LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF gone IS NULL THEN
    RETURN NULL;
  END IF;
  UPDATE audit_events SET address = '', user_agent = ''
    WHERE (occurred_at, id) IN (
      SELECT occurred_at, id FROM audit_events
      WHERE (user_id = gone OR (user_id IS NULL AND account IN (SELECT account FROM audit_events WHERE user_id = gone)))
        AND (address <> '' OR user_agent <> '')
      LIMIT at_most);
  GET DIAGNOSTICS erased = ROW_COUNT;
  IF erased < at_most THEN
    DELETE FROM erasures WHERE user_id = gone;
  END IF;
  RETURN erased;
END
$$;
REVOKE ALL ON FUNCTION erase_traces FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_traces TO latchkey_service;
