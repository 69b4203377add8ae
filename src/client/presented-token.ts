import { AuthError } from '../domain/auth-error.ts';
import { bearerToken } from '../domain/bearer-token.ts';

/**
 * The token that a request presents; empty without one.
 * @param authorizations the values of its `authorization` headers
 * @throws AuthError TOKEN_INVALID for another scheme and for several values, also in one header: services differ in which one
 *   they look at
 */
export function presentedToken(authorizations: string[]): string {
  const [first = '', ...more] = authorizations;
  const token = more.length === 0 ? bearerToken(first) : '';
  if (token === '' && (first !== '' || more.length > 0)) throw new AuthError('TOKEN_INVALID');
  return token;
}
