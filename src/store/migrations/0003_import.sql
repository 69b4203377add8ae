-- The account's id in the system that it was imported from, when that is not a UUID.
ALTER TABLE users ADD COLUMN external_id text
  CONSTRAINT users_external_id_key UNIQUE
  CONSTRAINT users_external_id_size CHECK (octet_length(external_id) BETWEEN 1 AND 255);

-- Every stored form is `$name$parameters$salt$digest`, or bcrypt's own. A kind is the form without the salt and the digest,
-- with the digest's length. The index must be computed again by the new function.
DROP INDEX users_password_hash_kind_idx;
CREATE OR REPLACE FUNCTION password_hash_kind(hash text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT CASE
    WHEN hash ~ '^\$2[abxy]\$[0-9]{2}\$' THEN left(hash, 7)
    WHEN hash ~ '^\$[a-z][a-z0-9-]{1,30}\$[^$]{1,64}\$' THEN
      left(regexp_replace(hash, '\$[^$]*\$[^$]*$', ''), 100) || ' ' || least(length(substring(hash FROM '[^$]*$')), 1000)
    ELSE 'unreadable'
  END
$$;
CREATE INDEX users_password_hash_kind_idx ON users (password_hash_kind(password_hash)) WHERE password_hash IS NOT NULL;
