-- One row a session; refreshing updates it in place.
CREATE TABLE sessions (
  id uuid CONSTRAINT sessions_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT sessions_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  -- the number of the current refresh token
  counter bigint NOT NULL DEFAULT 1
    CONSTRAINT sessions_counter_range CHECK (counter BETWEEN 1 AND 4294967295),
  rotated_at timestamptz,
  -- the request_id of the rotation that made the current token
  rotation_request_id text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  -- moves with each use, never past ends_by
  expires_at timestamptz NOT NULL,
  ends_by timestamptz NOT NULL,
  ended_at timestamptz,
  CONSTRAINT sessions_expiry_order CHECK (expires_at <= ends_by)
) WITH (fillfactor = 80);
CREATE INDEX sessions_live_user_id_idx ON sessions (user_id) WHERE ended_at IS NULL;

CREATE TABLE signing_keys (
  kid text CONSTRAINT signing_keys_pkey PRIMARY KEY,
  algorithm text NOT NULL CONSTRAINT signing_keys_algorithm CHECK (algorithm IN ('EdDSA')),
  -- PKCS #8, AES-256-GCM under a key derived from MASTER_KEY: 12 bytes IV, 16 bytes tag, ciphertext
  encrypted_private_key bytea NOT NULL,
  state text NOT NULL CONSTRAINT signing_keys_state CHECK (state IN ('active')),
  created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX signing_keys_one_active_idx ON signing_keys (state) WHERE state = 'active';
