import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Emitted on a response that is a stream without an end. It ends only when its reader stalls. */
export const ANSWER_LASTS = Symbol('answer lasts');
/** Emitted on the response to a request that is a stream without an end. */
export const REQUEST_LASTS = Symbol('request lasts');

/** Returns false when another handler must answer. */
export type Handler = (request: NodeRequest, response: NodeResponse) => boolean;

export function sendJson(response: NodeResponse, status: number, body: unknown, cacheControl = 'no-store'): void {
  const json = JSON.stringify(body);
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  response.setHeader('content-length', Buffer.byteLength(json));
  response.setHeader('cache-control', cacheControl);
  response.end(json);
}
