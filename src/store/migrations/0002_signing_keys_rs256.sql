ALTER TABLE signing_keys DROP CONSTRAINT signing_keys_algorithm;
ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_algorithm CHECK (algorithm IN ('EdDSA', 'ES256', 'RS256'));
