/** The token of `authorization: Bearer ...` (RFC 6750 section 2.1), or an empty string. */
export function bearerToken(authorization: string | null | undefined): string {
  return authorization ? (/^Bearer +([^\s,]+)$/i.exec(authorization)?.[1] ?? '') : '';
}

/** An invalid token. */
const MALFORMED = '-';

/**
 * The token that a client has sent to a service that asks about it. Empty without one. Another scheme is an invalid
 * credential, and so are several credentials: the service could use a different one of them.
 */
export function soleBearerToken(authorizations: string[]): string {
  const [first = '', ...more] = authorizations;
  if (first === '' && more.length === 0) return '';
  return (more.length === 0 && bearerToken(first)) || MALFORMED;
}

/** The token to verify: the one in the request, or the call's own credential. Empty without either. */
export function tokenToVerify(accessToken: string, credential: string): string {
  return accessToken || credential;
}
