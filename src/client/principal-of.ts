import type { TokenPrincipal } from '../domain/principal.ts';

/** By the request of node:http, or the metadata of a call of grpc-js. */
const principals = new WeakMap<object, TokenPrincipal>();

export function setPrincipal(of: object, principal: TokenPrincipal): void {
  principals.set(of, principal);
}

/**
 * Who makes a request, which the middleware or the interceptor has let pass.
 * @param of the request of node:http, or `call.metadata` of grpc-js
 * @throws when nothing has verified it: a handler that was left unprotected must not answer
 */
export function principalOf(of: object): TokenPrincipal {
  const principal = principals.get(of);
  if (!principal) throw new Error('nothing has verified this request: is the middleware or interceptor in place?');
  return principal;
}
