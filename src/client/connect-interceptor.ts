import { type ContextKey, createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import type { TokenPrincipal } from '../domain/principal.ts';
import type { Latchkey } from './latchkey.ts';
import { presentedToken } from './presented-token.ts';
import { refusedCall } from './refusal.ts';
import { joinRepeatedAuthorization } from './repeated-authorization.ts';

const principalKey: ContextKey<TokenPrincipal | null> = createContextKey<TokenPrincipal | null>(null);

/** For `interceptors` of a Connect router or adapter: lets pass whom the token of the call speaks for. */
export function connectInterceptor(latchkey: Pick<Latchkey, 'verify'>): Interceptor {
  joinRepeatedAuthorization();
  return (next) => async (request) => {
    try {
      const token = presentedToken([request.header.get('authorization') ?? '']);
      request.contextValues.set(principalKey, await latchkey.verify(token));
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
