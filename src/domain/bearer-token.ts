/** The token of `authorization: Bearer ...` (RFC 6750 section 2.1), or the empty string. */
export function bearerToken(authorization: string | null | undefined): string {
  return authorization ? (/^Bearer +([^\s,]+)$/i.exec(authorization)?.[1] ?? '') : '';
}
