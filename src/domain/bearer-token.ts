const SCHEME = /^Bearer +/i;
/** White space and commas separate credentials. One search for each is faster on a long token than a pattern for all. */
const SEPARATORS = [...' ,\t\n\v\f\r\u00a0'];

/** The token of `authorization: Bearer ...` (RFC 6750 section 2.1), or an empty string. */
export function bearerToken(authorization: string | null | undefined): string {
  const scheme = authorization ? SCHEME.exec(authorization)?.[0] : undefined;
  if (!authorization || scheme === undefined) return '';
  const token = authorization.slice(scheme.length);
  return SEPARATORS.some((separator) => token.includes(separator)) ? '' : token;
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
