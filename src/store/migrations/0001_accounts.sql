REVOKE CREATE ON SCHEMA public FROM PUBLIC;

CREATE TABLE users (
  id uuid CONSTRAINT users_pkey PRIMARY KEY,
  -- canonical form, so that a plain unique index gives one account per address
  email text NOT NULL CONSTRAINT users_email_key UNIQUE
    CONSTRAINT users_email_size CHECK (octet_length(email) <= 254),
  full_name text NOT NULL,
  email_verified_at timestamptz,
  -- a PHC or bcrypt string; null for accounts that sign in by other means
  password_hash text,
  -- counts the passwords the account has had; what was made for one dies with it
  password_epoch integer NOT NULL DEFAULT 1,
  disabled_at timestamptz,
  created_at timestamptz NOT NULL
);

CREATE TABLE roles (
  name text CONSTRAINT roles_pkey PRIMARY KEY,
  description text NOT NULL
);

INSERT INTO roles (name, description) VALUES
  ('user', 'Every account holds it'),
  ('admin', 'May call what asks for ADMIN access');

CREATE TABLE user_roles (
  user_id uuid NOT NULL CONSTRAINT user_roles_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  role text NOT NULL CONSTRAINT user_roles_role_fkey REFERENCES roles (name),
  granted_at timestamptz NOT NULL,
  CONSTRAINT user_roles_pkey PRIMARY KEY (user_id, role)
);

CREATE TABLE password_resets (
  -- the id of the outbox row that asked for it
  id uuid CONSTRAINT password_resets_pkey PRIMARY KEY,
  user_id uuid NOT NULL CONSTRAINT password_resets_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
  password_epoch integer NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX password_resets_user_id_idx ON password_resets (user_id);
