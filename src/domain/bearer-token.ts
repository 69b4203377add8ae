/** The token of `authorization: Bearer ...` (RFC 6750 section 2.1), or an empty string. */
export function bearerToken(authorization: string | null | undefined): string {
  return authorization ? (/^Bearer +([^\s,]+)$/i.exec(authorization)?.[1] ?? '') : '';
}

const MALFORMED = '-';

/** Another scheme is an invalid credential. So are several credentials: the service could use a different one. */
export function soleBearerToken(authorizations: string[]): string {
  const [first = '', ...more] = authorizations;
  if (first === '' && more.length === 0) return '';
  return (more.length === 0 && bearerToken(first)) || MALFORMED;
}

export function tokenToVerify(accessToken: string, credential: string): string {
  return accessToken || credential;
}
