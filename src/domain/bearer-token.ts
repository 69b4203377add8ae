/** The token of `authorization: Bearer ...` (RFC 6750 section 2.1), or the empty string. */
export function bearerToken(authorization: string | null | undefined): string {
  return authorization ? (/^Bearer +([^\s,]+)$/i.exec(authorization)?.[1] ?? '') : '';
}

/** Is no token of anybody. */
const MALFORMED = '-';

/**
 * The token that a client has sent to somebody else, who asks about it; empty when it has sent none. Another scheme is a bad
 * credential, and so are several: which of them the other would look at cannot be told.
 */
export function soleBearerToken(authorizations: string[]): string {
  const [first = '', ...more] = authorizations;
  if (first === '' && more.length === 0) return '';
  return (more.length === 0 && bearerToken(first)) || MALFORMED;
}
