import type { ServerRequest } from './server-request.ts';
import type { ServerResponse } from './server-response.ts';

/** Returns false when another handler must answer. */
export type Handler = (request: ServerRequest, response: ServerResponse) => boolean;

export function sendJson(response: ServerResponse, status: number, body: unknown, cacheControl = 'no-store'): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  response.setHeader('cache-control', cacheControl);
  response.end(JSON.stringify(body));
}
