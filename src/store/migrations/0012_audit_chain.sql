-- The audit trail as a chain: each event has a place, and a hash over what it says and over the hash of the one before. Whoever
-- changes, removes or moves one leaves a link that does not fit (src/domain/audit-chain.ts computes the same, outside).
-- Partitions are by the time of recording, which grows with the place, so that dropping the oldest leaves the rest in one piece.

CREATE TEMP TABLE events_before ON COMMIT DROP AS TABLE audit_events;
DROP TABLE audit_events;

CREATE TABLE audit_events (
  seq bigint NOT NULL,
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
  -- who did it, to whom or what, and how that was before and after
  actor text,
  target text,
  before jsonb,
  after jsonb,
  request_id text NOT NULL,
  -- Where it came from. The chain has a salted digest of it, so that it can be forgotten: then it is empty, and the salt is gone.
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
CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;
SELECT ensure_audit_partitions();

-- The end of the chain. Locking its row is what makes one chain of several workers' events.
CREATE TABLE audit_chain (
  is_only boolean CONSTRAINT audit_chain_pkey PRIMARY KEY DEFAULT true CONSTRAINT audit_chain_one CHECK (is_only),
  seq bigint NOT NULL,
  hash bytea NOT NULL,
  recorded_at timestamptz NOT NULL
);
INSERT INTO audit_chain (seq, hash, recorded_at) VALUES (0, decode(repeat('00', 32), 'hex'), '-infinity');

-- A field as the chain has it: its length in bytes and its text, or a dash for none. No two events read the same.
CREATE FUNCTION audit_field(field text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(octet_length(field) || ':' || field, '-') $$;

CREATE FUNCTION audit_time(at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- Adds one event at the end of the chain; for use with audit_chain's row locked.
CREATE FUNCTION append_audit_event(id uuid, occurred_at timestamptz, payload jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  event audit_events;
BEGIN
  SELECT audit_chain.seq + 1, greatest(audit_chain.recorded_at, clock_timestamp()), audit_chain.hash
    INTO event.seq, event.recorded_at, event.previous_hash FROM audit_chain;
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
  UPDATE audit_chain SET seq = event.seq, hash = event.hash, recorded_at = event.recorded_at;
END
$$;

-- Moves events from the outbox to the end of the chain: this one, and the oldest besides, so that many cost one lock. Returns how
-- many; none when it has been done. The service can add to the trail in this way and no other.
CREATE FUNCTION record_audit_events(wanted uuid, at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  entry record;
  recorded integer := 0;
BEGIN
  IF NOT EXISTS (SELECT FROM outbox WHERE id = wanted AND topic = 'audit') THEN
    RETURN 0;
  END IF;
  PERFORM FROM audit_chain FOR UPDATE;
  FOR entry IN
    WITH taken AS (
      DELETE FROM outbox WHERE id IN (
        SELECT id FROM outbox WHERE topic = 'audit' AND (dead_at IS NULL OR id = wanted)
        ORDER BY id <> wanted, id LIMIT at_most FOR UPDATE SKIP LOCKED)
      RETURNING id, created_at, payload)
    SELECT * FROM taken ORDER BY id
  LOOP
    -- By these the chain tells what may be missing: nobody says them but what does it.
    IF entry.payload ->> 'type' IN ('traces_erased', 'audit_events_dropped') THEN
      RAISE EXCEPTION 'the service cannot say that';
    END IF;
    PERFORM append_audit_event(entry.id, entry.created_at, entry.payload);
    recorded := recorded + 1;
  END LOOP;
  RETURN recorded;
END
$$;

-- For the owner alone, as everything that makes the trail shorter: drops the partitions of whole months before a time, oldest
-- first. The chain goes on with an event that says what went, by which the rest can still be proved.
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
    RAISE EXCEPTION 'audit_events_default holds events of months to drop, and the rest could not be proved without them';
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

-- Takes address and user agent out of up to so many events of a user who is gone. What else an event says stays: who, by an id
-- that is nobody's any more; what; when. Returns how many events it changed, null when there is nobody to forget. The service
-- cannot do that to users who are there.
CREATE OR REPLACE FUNCTION erase_traces(at_most integer) RETURNS integer
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
  UPDATE audit_events SET address = '', user_agent = '', origin_salt = NULL
    WHERE (recorded_at, seq) IN (
      SELECT recorded_at, seq FROM audit_events
      -- What somebody else did to them is where that one was.
      WHERE user_id = gone AND actor IS NULL AND origin_salt IS NOT NULL LIMIT at_most);
  GET DIAGNOSTICS erased = ROW_COUNT;
  -- By which the chain tells what was forgotten from what was wiped.
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

REVOKE ALL ON FUNCTION append_audit_event, record_audit_events, drop_audit_events, erase_traces FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record_audit_events, erase_traces TO latchkey_service;
GRANT SELECT ON audit_events, audit_chain TO latchkey_service;

-- What was there before this migration begins the chain.
DO $$
DECLARE
  event record;
BEGIN
  FOR event IN SELECT * FROM events_before ORDER BY occurred_at, id LOOP
    PERFORM append_audit_event(event.id, event.occurred_at, jsonb_strip_nulls(jsonb_build_object(
      'type', event.type, 'userId', event.user_id, 'sessionId', event.session_id, 'account', event.account,
      'detail', event.detail,
      'origin', jsonb_build_object('address', event.address, 'userAgent', event.user_agent, 'requestId', event.request_id))));
  END LOOP;
END
$$;
