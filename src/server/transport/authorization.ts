import type { RequestHead } from './server-stream.ts';

/**
 * @returns an empty string without the header; null for several headers, or for several credentials in one: two readers
 * could choose different ones
 */
export function soleAuthorization(headers: Pick<RequestHead, 'all'>): string | null {
  const [found = '', ...more] = headers.all('authorization');
  return more.length > 0 || /^(bearer|basic)\b.*,/i.test(found) ? null : found;
}

const SERVICE_KEY_HEADER = 'x-service-key';
/** An empty header is an invalid key, and no missing one. */
const MALFORMED = '-';

/** @returns an empty string without the header; null for several headers or values */
export function soleServiceKey(headers: Pick<RequestHead, 'all'>): string | null {
  const found = headers.all(SERVICE_KEY_HEADER);
  const [only = ''] = found;
  if (found.length === 0) return '';
  return found.length > 1 || only.includes(',') ? null : only || MALFORMED;
}
