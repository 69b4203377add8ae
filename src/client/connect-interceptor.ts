import type { DescService } from '@bufbuild/protobuf';
import { type ContextKey, createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import { AuthError } from '../domain/auth-error.ts';
import type { TokenPrincipal } from '../domain/principal.ts';
import { type AccessRules, checkCall } from './access-rule.ts';
import type { Latchkey } from './latchkey.ts';
import { parseMethodRules } from './method-rules.ts';
import { known } from './principal-of.ts';
import { rejectedCall } from './rejection.ts';
import { joinRepeatedAuthorization } from './repeated-authorization.ts';
import { whileValid } from './stream-guard.ts';

export type ConnectInterceptorOptions = {
  /** The services that `rules` can name. */
  services?: readonly DescService[];
  /**
   * By method (`shop.v1.Orders/List`) or service (`shop.v1.Orders`). Without a rule a valid token is required, except
   * for grpc.health.v1.Health, which is public.
   */
  rules?: AccessRules;
};

/** `undefined` until the interceptor has run. */
const principalKey: ContextKey<TokenPrincipal | null | undefined> = createContextKey<TokenPrincipal | null | undefined>(
  undefined,
);

/**
 * For `interceptors` of a Connect router or adapter. Rejects each call that does not meet the rule of its method. Ends a
 * stream within about a second when its token is no longer valid.
 * @throws TypeError for an invalid rule
 */
export function connectInterceptor(
  latchkey: Pick<Latchkey, 'verify'>,
  { services = [], rules = {} }: ConnectInterceptorOptions = {},
): Interceptor {
  const names = services.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}/${name}`));
  const ruleOf = parseMethodRules(rules, names);
  joinRepeatedAuthorization();
  return (next) => async (request) => {
    const rule = ruleOf(`${request.service.typeName}/${request.method.name}`);
    const check = () => checkCall(latchkey, rule, [request.header.get('authorization') ?? '']);
    const principal = await check().catch((error: unknown) => {
      throw rejectedCall(error);
    });
    request.contextValues.set(principalKey, principal);
    const answer = await next(request).catch(throwRejection);
    if (!answer.stream) return answer;
    const messages = principal ? whileValid(answer.message, check) : answer.message;
    return { ...answer, message: withRejections(messages) };
  };
}

async function* withRejections<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throwRejection(error);
  }
}

/** A handler throws them by requireRole. */
function throwRejection(error: unknown): never {
  throw error instanceof AuthError ? rejectedCall(error) : error;
}

/** The caller of a Connect call. @throws Error when no interceptor has verified the call, or the caller is anonymous */
export function principalOfContext(context: Pick<HandlerContext, 'values'>): TokenPrincipal {
  return known(optionalPrincipalOfContext(context));
}

/** Null for an anonymous caller, where a rule allows one. @throws Error when no interceptor has seen the call */
export function optionalPrincipalOfContext(context: Pick<HandlerContext, 'values'>): TokenPrincipal | null {
  const principal = context.values.get(principalKey);
  if (principal === undefined)
    throw new Error('this call was not verified: add connectInterceptor to the interceptors of the router');
  return principal;
}
