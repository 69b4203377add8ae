import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Emitted on a response that is a stream without an end. It may last; only when its reader stalls is it given up. */
export const ANSWER_LASTS = Symbol('answer lasts');
/** The same of a request. */
export const REQUEST_LASTS = Symbol('request lasts');

/** Answers a request, or says by `false` that it is not one of its own. */
export type Handler = (request: NodeRequest, response: NodeResponse) => boolean;

export function sendJson(response: NodeResponse, status: number, body: unknown, cacheControl = 'no-store'): void {
  const json = JSON.stringify(body);
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(json));
  response.setHeader('cache-control', cacheControl);
  response.end(json);
}
