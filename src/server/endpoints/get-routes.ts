import { type Handler, sendJson } from '../transport/handler.ts';
import type { ServerRequest } from '../transport/server-request.ts';
import type { ServerResponse } from '../transport/server-response.ts';

/** Answers GET and HEAD, by path. */
export type GetRoutes = Map<string, (response: ServerResponse, query: URLSearchParams) => void>;

export function createGetHandler(routes: GetRoutes): Handler {
  return (request, response) => {
    const [path = '', query = ''] = request.url.split('?', 2);
    const route = routes.get(path);
    if (!route) return false;
    if (isRead(request)) route(response, new URLSearchParams(query));
    else sendMethodNotAllowed(response, 'GET, HEAD');
    return true;
  };
}

export function sendMethodNotAllowed(response: ServerResponse, allowed: string): void {
  response.setHeader('allow', allowed);
  sendJson(response, 405, { error: 'method not allowed' });
}

function isRead({ method }: ServerRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}
