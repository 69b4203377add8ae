// Requests and responses in the form of Connect's handlers.
import type { ContextValues } from '@connectrpc/connect';
import type { UniversalServerRequest, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { remainingTimeout } from '../calls/deadlines.ts';
import type { ServerRequest } from '../transport/server-request.ts';
import type { ServerResponse } from '../transport/server-response.ts';

/** @throws TypeError for a host or a path that no URL can have */
export function universalRequest(
  { method, url, httpVersion, headers, signal, openedAt }: ServerRequest,
  body: AsyncIterable<Uint8Array>,
  contextValues: ContextValues,
): UniversalServerRequest {
  const header = new Headers(headers.fields.map(({ name, value }): [string, string] => [name, value]));
  remainingTimeout(header, performance.now() - openedAt);
  return {
    httpVersion,
    method,
    url: new URL(url, `http://${headers.host}`).toString(),
    header,
    body,
    signal,
    contextValues,
  };
}

/**
 * The handler completes the headers with the first part of the body, and the trailers with the last one. So they are
 * read after these.
 */
export async function sendUniversal(answer: UniversalServerResponse, response: ServerResponse): Promise<void> {
  const body = answer.body?.[Symbol.asyncIterator]();
  let part = await body?.next();
  const isEmpty = (!part || part.done === true) && !answer.trailer;
  start(answer, response, isEmpty);
  try {
    while (body && part && !part.done && !response.isClosed) {
      await response.write(part.value);
      part = await body.next();
    }
    response.finish([...(answer.trailer ?? [])].flat());
  } finally {
    // The handler of a stream stops when its client has disconnected.
    if (part?.done === false) void body?.return?.().catch(() => {});
  }
}

function start({ status, header }: UniversalServerResponse, response: ServerResponse, isEmpty: boolean): void {
  response.statusCode = status;
  for (const [name, value] of header ?? []) response.setHeader(name, value);
  response.start(isEmpty);
}
