// The client's request in forward auth, as the gateway describes it.
import { invalid, parseFields } from '../../domain/parse-fields.ts';
import { normalizedHost } from '../../domain/request-target.ts';
import type { RequestHead } from '../transport/server-stream.ts';

export type OriginalRequest = { method: string; host: string; target: string };

/** Traefik and Caddy send the first form. nginx and its ingress controllers use the others. */
const METHOD = ['x-forwarded-method', 'x-original-method'];
const HOST = ['x-forwarded-host', 'x-original-host'];
const TARGET = ['x-forwarded-uri', 'x-original-uri'];
const URL_HEADER = 'x-original-url';

/**
 * A client can send these headers too, and a gateway overwrites only those that it knows. So all that describe the same
 * must agree, and none may be missing: a gateway that sends none would otherwise leave them to its clients.
 * @throws AuthError INVALID_ARGUMENT
 */
export function originalRequest(headers: Pick<RequestHead, 'all'>): OriginalRequest {
  const values = (names: string[]) => names.flatMap((name) => headers.all(name));
  const urls = values([URL_HEADER]).map((text) => URL_PARTS.exec(text));
  const parsed = parseFields({
    'x-forwarded-method': () => only(values(METHOD)),
    'x-forwarded-host': () => only([...values(HOST), ...urls.map((url) => url?.[1] ?? '')], sameHost),
    'x-forwarded-uri': () => only([...values(TARGET), ...urls.map((url) => url?.[2] || '/')]),
  });
  return { method: parsed['x-forwarded-method'], host: parsed['x-forwarded-host'], target: parsed['x-forwarded-uri'] };
}

const URL_PARTS = /^https?:\/\/([^/?#]+)(.*)$/s;

function only(values: string[], canonical = (text: string) => text): string {
  const [first = ''] = values;
  if (first === '') invalid('is required from the gateway on this route');
  if (!values.every((value) => canonical(value) === canonical(first)))
    invalid('must agree with the other headers that describe the request');
  return first;
}

function sameHost(text: string): string {
  return normalizedHost(text) ?? text;
}
