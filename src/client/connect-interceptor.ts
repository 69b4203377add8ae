import { type ContextKey, createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import type { TokenPrincipal } from '../domain/principal.ts';
import type { Latchkey } from './latchkey.ts';
import { presentedToken } from './presented-token.ts';
import { rejectedCall } from './rejection.ts';
import { joinRepeatedAuthorization } from './repeated-authorization.ts';

const principalKey: ContextKey<TokenPrincipal | null> = createContextKey<TokenPrincipal | null>(null);

/** For `interceptors` of a Connect router or adapter. Rejects each call that presents no valid access token. */
export function connectInterceptor(latchkey: Pick<Latchkey, 'verify'>): Interceptor {
  joinRepeatedAuthorization();
  return (next) => async (request) => {
    try {
      const token = presentedToken([request.header.get('authorization') ?? '']);
      request.contextValues.set(principalKey, await latchkey.verify(token));
    } catch (error) {
      throw rejectedCall(error);
    }
    return next(request);
  };
}

/** The caller of a Connect call. @throws Error when no interceptor has verified the call */
export function principalOfContext(context: Pick<HandlerContext, 'values'>): TokenPrincipal {
  const principal = context.values.get(principalKey);
  if (!principal)
    throw new Error('this call was not verified: add connectInterceptor to the interceptors of the router');
  return principal;
}
