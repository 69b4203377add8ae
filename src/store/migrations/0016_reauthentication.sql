-- Sensitive changes require that the user of a session has authenticated lately (src/domain/reauthentication.ts).
ALTER TABLE sessions
  -- when the password was given last, after the sign-in
  ADD COLUMN reauthenticated_at timestamptz,
  -- when the user authenticated at the identity provider that the session was begun with, as the provider says
  ADD COLUMN provider_authenticated_at timestamptz;

-- Whether the provider was asked to authenticate the user anew (OpenID Connect Core 1.0 section 3.1.2.1, max_age=0).
ALTER TABLE oauth_flows ADD COLUMN reauthenticate boolean NOT NULL DEFAULT false;
