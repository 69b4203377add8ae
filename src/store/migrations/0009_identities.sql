-- Accounts at other providers with which somebody may sign in.
CREATE TABLE identities (
  id uuid CONSTRAINT identities_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT identities_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  -- as configuration names it, for people to read
  provider text NOT NULL,
  issuer text NOT NULL,
  subject text NOT NULL CONSTRAINT identities_subject_given CHECK (subject <> ''),
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  CONSTRAINT identities_issuer_subject_key UNIQUE (issuer, subject)
);
CREATE INDEX identities_user_id_idx ON identities (user_id);

-- Sign-ins under way at a provider. Nonce, code verifier and the browser's half are derived from the id and kept nowhere.
CREATE TABLE oauth_flows (
  id uuid CONSTRAINT oauth_flows_pkey PRIMARY KEY,
  provider text NOT NULL,
  redirect_uri text NOT NULL,
  -- the user who links an identity; null for a sign-in
  user_id uuid CONSTRAINT oauth_flows_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX oauth_flows_expires_at_idx ON oauth_flows (expires_at);
CREATE INDEX oauth_flows_user_id_idx ON oauth_flows (user_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON identities, oauth_flows TO latchkey_service;
