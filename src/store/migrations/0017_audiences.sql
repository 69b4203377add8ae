-- Tokens say whether the email in them is verified, and a session may be for some of the deployment's audiences. Tokens from before a
-- change of the password are stale, also those of the session that goes on: a thief may have one.
DROP TRIGGER users_claims_epoch ON users;
CREATE TRIGGER users_claims_epoch BEFORE UPDATE ON users FOR EACH ROW
  WHEN (
    OLD.email <> NEW.email
    OR (OLD.email_verified_at IS NULL) <> (NEW.email_verified_at IS NULL)
    OR OLD.password_epoch <> NEW.password_epoch
    OR (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL)
  )
  EXECUTE FUNCTION raise_claims_epoch();

-- `aud` of the session's access tokens; null for all audiences of the deployment, whichever those are at the time.
ALTER TABLE sessions ADD COLUMN audiences text[]
  CONSTRAINT sessions_audiences_not_empty CHECK (cardinality(audiences) > 0);
