import { createRemoteJWKSet, jwtVerify } from 'jose';

export function verifier(issuer, audience) {
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
  const rules = {
    issuer,
    audience,
    algorithms: ['EdDSA', 'ES256', 'RS256'],
    typ: 'at+jwt',
    requiredClaims: ['exp', 'sub'],
  };
  return async (token) => {
    const { payload } = await jwtVerify(token, keys, rules);
    return payload;
  };
}
