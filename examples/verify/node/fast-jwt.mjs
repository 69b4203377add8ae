import { createVerifier } from 'fast-jwt';
import { JwksClient } from 'jwks-rsa';

export function verifier(issuer, audience) {
  const keys = new JwksClient({ jwksUri: `${issuer}/.well-known/jwks.json` });
  return createVerifier({
    key: async ({ header }) => (await keys.getSigningKey(header.kid)).getPublicKey(),
    algorithms: ['EdDSA', 'ES256', 'RS256'],
    allowedIss: issuer,
    allowedAud: audience,
    requiredClaims: ['iss', 'aud', 'exp', 'sub'],
    checkTyp: 'at+jwt',
  });
}
