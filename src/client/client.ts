// `latchkey/client`: verifies access tokens in your own service, without a call for each. See README.md, "In your service".
export { AuthError } from '../domain/auth-error.ts';
export type { Reason } from '../domain/error-reason.ts';
export type { ServiceTokenPrincipal, TokenPrincipal, UserPrincipal } from '../domain/principal.ts';
export { connectInterceptor, principalOfContext } from './connect-interceptor.ts';
export { grpcJsInterceptor } from './grpc-js-interceptor.ts';
export { type HttpMiddleware, httpMiddleware } from './http-middleware.ts';
export { createLatchkey, type Latchkey, type LatchkeyOptions } from './latchkey.ts';
export { principalOf } from './principal-of.ts';
