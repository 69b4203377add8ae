import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Latchkey } from './latchkey.ts';
import { presentedToken } from './presented-token.ts';
import { setPrincipal } from './principal-of.ts';
import { type Refusal, refusalOf } from './refusal.ts';
import { authorizationsIn } from './repeated-authorization.ts';

/** `next` is called for whom the token speaks for; anybody else is answered with 401, or 503 when nobody can tell. */
export type HttpMiddleware = (
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  next: () => void,
) => void;

/** For node:http, and what is built on it, such as Express or Connect's own middleware. */
export function httpMiddleware(latchkey: Pick<Latchkey, 'verify'>): HttpMiddleware {
  const verify = async ({ rawHeaders }: Parameters<HttpMiddleware>[0]) =>
    latchkey.verify(presentedToken(authorizationsIn(rawHeaders)));
  return (request, response, next) => {
    verify(request).then(
      (principal) => {
        setPrincipal(request, principal);
        next();
      },
      (error: unknown) => refuse(response, refusalOf(error)),
    );
  };
}

/** RFC 6750 section 3. */
function refuse(response: ServerResponse | Http2ServerResponse, refusal: Refusal): void {
  const { reason, isUnavailable, message, retryAfterSeconds } = refusal;
  const challenge =
    reason === 'CREDENTIALS_MISSING' ? 'Bearer' : `Bearer error="invalid_token", error_description="${message}"`;
  if (isUnavailable) response.setHeader('retry-after', String(retryAfterSeconds));
  else response.setHeader('www-authenticate', challenge);
  response.setHeader('content-type', 'application/json');
  response.setHeader('cache-control', 'no-store');
  response.statusCode = isUnavailable ? 503 : 401;
  response.end(JSON.stringify({ reason, message }));
}
