-- The kind of a stored password hash: all of it but the salt and the digest, and the digest's length. Kinds differ in how long a
-- comparison takes, and every failed sign-in must take as long as the kinds in use.
CREATE FUNCTION password_hash_kind(hash text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE
    WHEN hash ~ '^\$2[aby]\$[0-9]{2}\$' THEN left(hash, 7)
    WHEN hash ~ '^\$(argon2(id|i|d)|scrypt|pbkdf2-sha(1|256|512))\$[^$]{1,64}\$' OR hash ~ '^pbkdf2_sha(1|256)\$[0-9]{1,8}\$' THEN
      left(regexp_replace(hash, '\$[^$]*\$[^$]*$', ''), 100) || ' ' || least(length(substring(hash FROM '[^$]*$')), 1000)
    ELSE 'unreadable'
  END
$$;
-- The kinds in use are found in it by a few probes.
CREATE INDEX users_password_hash_kind_idx ON users (password_hash_kind(password_hash)) WHERE password_hash IS NOT NULL;

-- Mailed proofs that a network is the owner's, where failed sign-ins from elsewhere hold new networks back. One for each account, so
-- that nothing has to be swept.
CREATE TABLE network_confirmations (
  user_id uuid CONSTRAINT network_confirmations_pkey PRIMARY KEY
    CONSTRAINT network_confirmations_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  -- the id of the outbox row that asked for it
  id uuid NOT NULL CONSTRAINT network_confirmations_id_key UNIQUE,
  password_epoch integer NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
GRANT SELECT, INSERT, UPDATE ON network_confirmations TO latchkey_service;
