// `@latchkey/client`: typed clients of all services, and verification of access tokens in your own service without a
// call for each. Published alone, so it imports the rooms `domain` and `verifier` and no other.
export type { Acr } from '../domain/acr.ts';
export { AuthError, type Violation } from '../domain/auth-error.ts';
export type { Reason } from '../domain/error-reason.ts';
export type { ServiceTokenPrincipal, TokenPrincipal, UserPrincipal } from '../domain/principal.ts';
export { type Access, type AccessRule, type AccessRules, requireRole } from './access-rule.ts';
export type { Metric } from './client-metrics.ts';
export { type CalledFor, type Clients, type ClientsOptions, createClients } from './clients.ts';
export {
  type ConnectInterceptorOptions,
  connectInterceptor,
  optionalPrincipalOfContext,
  principalOfContext,
} from './connect-interceptor.ts';
export { type HttpMiddleware, type HttpMiddlewareOptions, httpMiddleware, sendRejection } from './http-middleware.ts';
export { createLatchkey, type Latchkey, type LatchkeyOptions, type VerifyOptions } from './latchkey.ts';
export { optionalPrincipalOf, principalOf } from './principal-of.ts';
export { reasonOf } from './reason-of.ts';
export { retryAfterOf } from './retry-after-of.ts';
export type { UserClients } from './user-clients.ts';
export { violationsOf } from './violations-of.ts';
