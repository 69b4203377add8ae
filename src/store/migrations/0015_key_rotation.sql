-- Signing keys come and go: published, so that verifiers know them before they sign; active; retiring, while what they signed is
-- still good; retired (src/domain/key-schedule.ts says when).
ALTER TABLE signing_keys
  -- Not before, whatever a process is configured to: so long was it promised to those who keep a JWKS.
  ADD COLUMN signs_from timestamptz,
  ADD COLUMN activated_at timestamptz,
  ADD COLUMN retiring_at timestamptz,
  ADD COLUMN retired_at timestamptz,
  -- By the database's own clock, which nobody else writes: retired_at may say anything.
  ADD COLUMN blanked_at timestamptz,
  ALTER COLUMN encrypted_private_key DROP NOT NULL,
  DROP CONSTRAINT signing_keys_algorithm,
  ADD CONSTRAINT signing_keys_algorithm CHECK (algorithm IN ('EdDSA', 'ES256')),
  DROP CONSTRAINT signing_keys_state,
  ADD CONSTRAINT signing_keys_state CHECK (state IN ('published', 'active', 'retiring', 'retired'));
UPDATE signing_keys SET signs_from = created_at, activated_at = created_at;
ALTER TABLE signing_keys
  ALTER COLUMN signs_from SET NOT NULL,
  ADD CONSTRAINT signing_keys_signs_from CHECK (signs_from BETWEEN created_at AND created_at + interval '31 days'),
  -- Nothing is left of a key that is good for nothing.
  ADD CONSTRAINT signing_keys_secret CHECK ((state = 'retired') = (encrypted_private_key IS NULL)),
  ADD CONSTRAINT signing_keys_times CHECK (CASE state
    WHEN 'published' THEN num_nonnulls(activated_at, retiring_at, retired_at) = 0
    WHEN 'active' THEN activated_at IS NOT NULL AND num_nonnulls(retiring_at, retired_at) = 0
    WHEN 'retiring' THEN num_nonnulls(activated_at, retiring_at) = 2 AND retired_at IS NULL
    ELSE retired_at IS NOT NULL END);
CREATE UNIQUE INDEX signing_keys_one_published_idx ON signing_keys (state) WHERE state = 'published';

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
    RAISE EXCEPTION 'what has happened to signing key % cannot have happened at another time', OLD.kid;
  END IF;
  IF NEW.state = 'retired' AND OLD.state <> 'retired' THEN
    NEW.blanked_at := now();
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER signing_keys_order BEFORE UPDATE ON signing_keys FOR EACH ROW EXECUTE FUNCTION check_signing_key_change();

-- Those that were retired 90 days ago; the audit trail has them. Returns how many. The service can remove no others.
CREATE FUNCTION remove_retired_keys() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  removed integer := 0;
BEGIN
  -- A DELETE of nothing is told to verifiers as well.
  IF EXISTS (SELECT FROM signing_keys WHERE blanked_at < now() - interval '90 days') THEN
    DELETE FROM signing_keys WHERE blanked_at < now() - interval '90 days';
    GET DIAGNOSTICS removed = ROW_COUNT;
  END IF;
  RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION remove_retired_keys FROM PUBLIC;

GRANT UPDATE (state, activated_at, retiring_at, retired_at, encrypted_private_key) ON signing_keys TO latchkey_service;
GRANT EXECUTE ON FUNCTION remove_retired_keys TO latchkey_service;
