-- Indexes for the filters of `audit list`: the account (a keyed hash of an email), the target, and the address or its
-- network. Each filter reads one of them from its newest entry on.

-- Null for no address, and for a text that is none. Otherwise such a text could not be recorded.
CREATE FUNCTION audit_address(address text) RETURNS inet
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp AS $$
BEGIN
  RETURN nullif(address, '')::inet;
EXCEPTION WHEN invalid_text_representation THEN
  RETURN NULL;
END
$$;

CREATE INDEX audit_events_account_idx ON audit_events (account, seq) WHERE account IS NOT NULL;
CREATE INDEX audit_events_target_idx ON audit_events (target, seq) WHERE target IS NOT NULL;
CREATE INDEX audit_events_address_idx ON audit_events (audit_address(address) inet_ops, seq) WHERE address <> '';
