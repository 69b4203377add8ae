-- Audit events are recorded by the batch: one lock of the chain's end, one transaction and one new end for all of them.

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
CREATE OR REPLACE FUNCTION append_audit_event(id uuid, occurred_at timestamptz, payload jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  tail audit_chain;
BEGIN
  SELECT * INTO tail FROM audit_chain;
  tail := chain_audit_event(tail, id, occurred_at, payload);
  UPDATE audit_chain SET seq = tail.seq, hash = tail.hash, recorded_at = tail.recorded_at;
END
$$;

DROP FUNCTION record_audit_events(uuid, integer);

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
    -- The chain itself explains its gaps by these two types. The service must not be able to write them.
    IF entry.payload ->> 'type' IN ('traces_erased', 'audit_events_dropped') THEN
      RAISE EXCEPTION 'the service may not record an event of type %', entry.payload ->> 'type';
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

REVOKE ALL ON FUNCTION chain_audit_event, record_audit_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record_audit_events TO latchkey_service;

-- The relay takes the rows of each topic for itself.
DROP INDEX outbox_due_idx;
CREATE INDEX outbox_due_idx ON outbox (topic, relayed_at NULLS FIRST, id) WHERE dead_at IS NULL;

ALTER FUNCTION erase_traces SET lock_timeout = '2s';
