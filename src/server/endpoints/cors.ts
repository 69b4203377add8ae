// Cross-origin calls of web pages (Fetch standard), for the allowed origins.
import { cors } from '@connectrpc/connect';
import type { Handler } from '../transport/handler.ts';

const MAX_AGE_SECONDS = 7200;
const ALLOWED_METHODS = ['POST', 'GET'].join(', ');
const ALLOWED_HEADERS = [...cors.allowedHeaders, 'Authorization', 'X-Request-Id'].join(', ');
const EXPOSED_HEADERS = [...cors.exposedHeaders, 'X-Request-Id', 'Retry-After', 'WWW-Authenticate'].join(', ');

export function createCorsHandler(origins: string[]): Handler {
  const allowed = new Set(origins);
  return (request, response) => {
    if (allowed.size === 0) return false;
    const origin = request.headers.get('origin');
    // A cache must not return the response for one origin to another.
    response.setHeader('vary', 'Origin');
    if (allowed.has(origin)) {
      response.setHeader('access-control-allow-origin', origin);
      response.setHeader('access-control-expose-headers', EXPOSED_HEADERS);
    }
    if (request.method !== 'OPTIONS' || !request.headers.has('access-control-request-method')) return false;
    if (allowed.has(origin)) {
      response.setHeader('access-control-allow-methods', ALLOWED_METHODS);
      response.setHeader('access-control-allow-headers', ALLOWED_HEADERS);
      response.setHeader('access-control-max-age', MAX_AGE_SECONDS);
    }
    response.statusCode = 204;
    response.end();
    return true;
  };
}
