import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { AuthError } from '../domain/auth-error.ts';
import { stepUpChallenge } from '../domain/required-strength.ts';
import { type AccessRules, checkCall } from './access-rule.ts';
import type { Latchkey } from './latchkey.ts';
import { setPrincipal } from './principal-of.ts';
import { type Rejection, rejectionOf } from './rejection.ts';
import { authorizationsIn } from './repeated-authorization.ts';
import { parseRouteRules } from './route-rules.ts';

export type HttpMiddlewareOptions = {
  /**
   * By prefix of the path, also with a method: `{ '/health': 'public', 'POST /admin': { role: 'clerk' } }`. The longest
   * prefix applies. Without a rule a valid token is required. Letter case and a final slash make no difference, and
   * a path below a mount point of Express counts in full.
   */
  rules?: AccessRules;
};

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/**
 * Calls `next` when the request meets its rule. Otherwise answers with 401 or 403, with 503 when the token cannot be
 * verified now, and with 400 for a path that a server behind could read as another one.
 */
export type HttpMiddleware = (request: Request, response: Response, next: () => unknown) => void;

/**
 * For node:http and frameworks that are built on it, such as Express. A handler that `next` runs may use requireRole.
 * @throws TypeError for an invalid rule
 */
export function httpMiddleware(
  latchkey: Pick<Latchkey, 'verify'>,
  { rules = {} }: HttpMiddlewareOptions = {},
): HttpMiddleware {
  const ruleOf = parseRouteRules(rules);
  const check = async (request: Request) => {
    const { originalUrl = request.url ?? '' } = request as { originalUrl?: string };
    return checkCall(latchkey, ruleOf(request.method ?? '', originalUrl), authorizationsIn(request.rawHeaders));
  };
  return (request, response, next) => {
    check(request).then(
      (principal) => {
        setPrincipal(request, principal);
        run(next, response);
      },
      (error: unknown) => write(response, rejectionOf(error)),
    );
  };
}

/**
 * Answers a request with the rejection that an AuthError stands for. For error handlers of frameworks:
 * `app.use((error, request, response, next) => sendRejection(response, error) || next(error))`.
 * @returns false for another error, which is not answered
 */
export function sendRejection(response: Response, error: unknown): boolean {
  if (!(error instanceof AuthError) || response.headersSent) return false;
  write(response, rejectionOf(error));
  return true;
}

function run(next: () => unknown, response: Response): void {
  const rethrow = (error: unknown) => {
    if (!sendRejection(response, error)) throw error;
  };
  try {
    const result = next();
    if (result instanceof Promise) result.catch(rethrow);
  } catch (error) {
    rethrow(error);
  }
}

function write(response: Response, rejection: Rejection): void {
  const { reason, message, violations, status, retryAfterSeconds } = rejection;
  if (retryAfterSeconds !== null) response.setHeader('retry-after', String(retryAfterSeconds));
  if (status === 401 || status === 403) response.setHeader('www-authenticate', challengeOf(rejection));
  response.setHeader('content-type', 'application/json');
  response.setHeader('cache-control', 'no-store');
  response.statusCode = status;
  response.end(JSON.stringify({ reason, message, ...(violations.length > 0 && { violations }) }));
}

/** RFC 6750 section 3, RFC 9470 section 3. */
function challengeOf({ reason, message, status, required }: Rejection): string {
  if (reason === 'STEP_UP_REQUIRED' && required) return `Bearer ${stepUpChallenge(required)}`;
  if (reason === 'CREDENTIALS_MISSING') return 'Bearer';
  const error = status === 403 ? 'insufficient_scope' : 'invalid_token';
  return `Bearer error="${error}", error_description="${message}"`;
}
