import { type ContextKey, createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import { bearerToken } from '../domain/bearer-token.ts';
import type { TokenPrincipal } from '../domain/principal.ts';
import type { Latchkey } from './latchkey.ts';
import { refusedCall } from './refusal.ts';

const principalKey: ContextKey<TokenPrincipal | null> = createContextKey<TokenPrincipal | null>(null);

/** For `interceptors` of a Connect router or adapter: lets pass whom the token of the call speaks for. */
export function connectInterceptor(latchkey: Pick<Latchkey, 'verify'>): Interceptor {
  return (next) => async (request) => {
    try {
      request.contextValues.set(principalKey, await latchkey.verify(bearerToken(request.header.get('authorization'))));
    } catch (error) {
      throw refusedCall(error);
    }
    return next(request);
  };
}

/** Who makes a call of Connect. @throws when the interceptor is not in place */
export function principalOfContext(context: Pick<HandlerContext, 'values'>): TokenPrincipal {
  const principal = context.values.get(principalKey);
  if (!principal) throw new Error('nothing has verified this call: is the interceptor in place?');
  return principal;
}
