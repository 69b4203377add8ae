import http from 'node:http';
import { text } from 'node:stream/consumers';

export type Sent = { method?: string; headers?: Record<string, string>; body?: string };

/** As fetch, but follows no redirect and sends exactly these headers: fetch sets `sec-fetch-mode` itself. */
export async function sendRequest(
  url: string,
  { method = 'GET', headers = {}, body = '' }: Sent = {},
): Promise<Response> {
  const length = body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const request = http.request(url, { method, headers: { ...headers, ...length }, agent: false });
  request.end(body);
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once('error', reject).once('response', resolve);
  });
  const received = new Headers();
  for (const [name, values = []] of Object.entries(response.headersDistinct)) {
    for (const value of values) received.append(name, value);
  }
  const content = await text(response);
  return new Response(content === '' ? null : content, { status: response.statusCode ?? 0, headers: received });
}
