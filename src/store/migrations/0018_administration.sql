-- What services may do beyond verifying tokens takes a role, and each API key expires.

-- Built in: the service refuses to delete them (src/domain/role.ts).
INSERT INTO roles (name, description, granter) VALUES
  ('latchkey.roles.read', 'reads the roles of users by their id', 'admin'),
  ('latchkey.on-behalf-of', 'names the client that a call is made for (x-client-address, x-client-user-agent)', 'admin')
ON CONFLICT (name) DO UPDATE SET description = excluded.description, granter = excluded.granter;

UPDATE api_keys SET expires_at = now() + interval '1 year' WHERE expires_at IS NULL;
ALTER TABLE api_keys ALTER COLUMN expires_at SET NOT NULL;
