import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Latchkey } from './latchkey.ts';
import { presentedToken } from './presented-token.ts';
import { setPrincipal } from './principal-of.ts';
import { type Rejection, rejectionOf } from './rejection.ts';
import { authorizationsIn } from './repeated-authorization.ts';

/**
 * Calls `next` when the access token is valid. Otherwise answers with 401, or with 503 when the token cannot be
 * verified now.
 */
export type HttpMiddleware = (
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  next: () => void,
) => void;

/** For node:http and frameworks that are built on it, such as Express. */
export function httpMiddleware(latchkey: Pick<Latchkey, 'verify'>): HttpMiddleware {
  const verify = async ({ rawHeaders }: Parameters<HttpMiddleware>[0]) =>
    latchkey.verify(presentedToken(authorizationsIn(rawHeaders)));
  return (request, response, next) => {
    verify(request).then(
      (principal) => {
        setPrincipal(request, principal);
        next();
      },
      (error: unknown) => reject(response, rejectionOf(error)),
    );
  };
}

/** The challenge follows RFC 6750 section 3. */
function reject(response: ServerResponse | Http2ServerResponse, rejection: Rejection): void {
  const { reason, isUnavailable, message, retryAfterSeconds } = rejection;
  const challenge =
    reason === 'CREDENTIALS_MISSING' ? 'Bearer' : `Bearer error="invalid_token", error_description="${message}"`;
  if (isUnavailable) response.setHeader('retry-after', String(retryAfterSeconds));
  else response.setHeader('www-authenticate', challenge);
  response.setHeader('content-type', 'application/json');
  response.setHeader('cache-control', 'no-store');
  response.statusCode = isUnavailable ? 503 : 401;
  response.end(JSON.stringify({ reason, message }));
}
