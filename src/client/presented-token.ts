import { AuthError } from '../domain/auth-error.ts';
import { bearerToken } from '../domain/bearer-token.ts';

/**
 * @param authorizations the values of a request's `authorization` headers
 * @returns the access token, or an empty string when the request has no `authorization` header
 * @throws AuthError TOKEN_INVALID for another scheme, and for several values, also in one header: a gateway and a
 * service could each check a different one
 */
export function presentedToken(authorizations: string[]): string {
  const [first = '', ...more] = authorizations;
  const token = more.length === 0 ? bearerToken(first) : '';
  if (token === '' && (first !== '' || more.length > 0)) throw new AuthError('TOKEN_INVALID');
  return token;
}
