import type { TokenPrincipal } from '../domain/principal.ts';

const principals = new WeakMap<object, TokenPrincipal>();

export function setPrincipal(of: object, principal: TokenPrincipal): void {
  principals.set(of, principal);
}

/**
 * @param of the request of node:http, or `call.metadata` of grpc-js
 * @throws Error when the request was not verified, so that an unprotected handler cannot answer
 */
export function principalOf(of: object): TokenPrincipal {
  const principal = principals.get(of);
  if (!principal)
    throw new Error('this request was not verified: add httpMiddleware or grpcJsInterceptor in front of the handler');
  return principal;
}
