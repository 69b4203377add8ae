import type { TokenPrincipal } from '../domain/principal.ts';

/** Null for an anonymous caller. */
const principals = new WeakMap<object, TokenPrincipal | null>();

export function setPrincipal(of: object, principal: TokenPrincipal | null): void {
  principals.set(of, principal);
}

/**
 * @param of the request of node:http, or `call.metadata` of grpc-js
 * @throws Error when the request was not verified, so that an unprotected handler cannot answer
 */
export function principalOf(of: object): TokenPrincipal {
  return known(optionalPrincipalOf(of));
}

/**
 * Null for an anonymous caller, where a rule allows one.
 * @throws Error when the request did not pass the middleware or interceptor
 */
export function optionalPrincipalOf(of: object): TokenPrincipal | null {
  const principal = principals.get(of);
  if (principal === undefined)
    throw new Error('this request was not verified: add httpMiddleware or grpcJsInterceptor in front of the handler');
  return principal;
}

export function known(principal: TokenPrincipal | null): TokenPrincipal {
  if (!principal) throw new Error('the caller can be anonymous by the rule of this request: use optionalPrincipalOf');
  return principal;
}
