-- Until now a change was removed two hours after its transaction began; but it is the commit from which on readers see it. So
-- what can be removed is told by the transactions that had ended by a time.

CREATE TABLE changes_horizons (
  seen_at timestamptz CONSTRAINT changes_horizons_pkey PRIMARY KEY,
  -- every transaction below had ended by then
  settled_below xid8 NOT NULL,
  -- by whose count: a dump may be restored elsewhere
  system_identifier bigint NOT NULL
);

-- Removes up to so many changes that stop no living token any more: a token lives an hour at the most. Returns how many it
-- removed. The service cannot delete others.
CREATE OR REPLACE FUNCTION prune_changes(at_most integer) RETURNS bigint
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
    -- A transaction that this server has not had yet is of the server whose dump was restored here.
    WHERE xid < settled OR (xid >= pg_snapshot_xmax(pg_current_snapshot()) AND changed_at < now() - interval '2 hours')
    LIMIT at_most FOR UPDATE SKIP LOCKED);
  GET DIAGNOSTICS pruned = ROW_COUNT;
  DELETE FROM changes_horizons WHERE settled_below < settled;
  RETURN pruned;
END
$$;

-- A session whose end is moved into the past has ended. One whose end only comes nearer goes on until then; tokens that it has
-- already live as long as they say.
CREATE TRIGGER sessions_shortened AFTER UPDATE OF ends_by ON sessions FOR EACH ROW
  WHEN (OLD.ended_at IS NULL AND NEW.ends_by < OLD.ends_by AND NEW.ends_by <= now() + interval '1 minute')
  EXECUTE FUNCTION record_session_end();

-- Row triggers do not hear of TRUNCATE, and tokens would live on.
CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'verifiers would not hear that rows of % are gone', TG_TABLE_NAME USING HINT = 'Use DELETE.';
END
$$;
CREATE TRIGGER sessions_no_truncate BEFORE TRUNCATE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER users_no_truncate BEFORE TRUNCATE ON users FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER user_roles_no_truncate BEFORE TRUNCATE ON user_roles FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER signing_keys_no_truncate BEFORE TRUNCATE ON signing_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
