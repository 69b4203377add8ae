// The paths of the OAuth endpoints. Behind a proxy that keeps the path of ISSUER they begin with it.
export const JWKS_PATH = '/.well-known/jwks.json';
export const TOKEN_PATH = '/oauth/token';
export const INTROSPECTION_PATH = '/oauth/introspect';
export const REVOCATION_PATH = '/oauth/revoke';

/** OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3. */
const METADATA_NAMES = ['openid-configuration', 'oauth-authorization-server'];

export function withIssuerPath(path: string, issuer: string): string[] {
  return [...new Set([path, `${pathOf(issuer)}${path}`])];
}

/** OpenID Connect appends the name to the issuer. RFC 8414 inserts it between the host and the path of the issuer. */
export function metadataPaths(issuer: string): string[] {
  const path = pathOf(issuer);
  return METADATA_NAMES.map((name) => `/.well-known/${name}`).flatMap((wellKnown) => [
    ...new Set([wellKnown, `${path}${wellKnown}`, `${wellKnown}${path}`]),
  ]);
}

function pathOf(issuer: string): string {
  return new URL(issuer).pathname.replace(/\/+$/, '');
}
