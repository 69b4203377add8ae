CREATE TABLE audit_events (
  id uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  type text NOT NULL,
  -- no foreign key: an event outlives its user
  user_id uuid,
  session_id uuid,
  -- keyed hash of an email
  account text,
  detail text,
  address text NOT NULL,
  user_agent text NOT NULL,
  request_id text NOT NULL,
  CONSTRAINT audit_events_pkey PRIMARY KEY (occurred_at, id)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX audit_events_user_id_idx ON audit_events (user_id, occurred_at);

-- Takes what no month's partition takes, so that no event is ever refused.
CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;

-- Makes the partitions of this month and the two that follow. The service may call it and cannot make tables itself.
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
      -- A clock that was ahead has put events of that month into the default partition; they are fine there.
      RAISE WARNING 'audit_events_default holds events of %, which gets no partition of its own', name;
    END;
  END LOOP;
END
$$;
REVOKE ALL ON FUNCTION ensure_audit_partitions FROM PUBLIC;
SELECT ensure_audit_partitions();
