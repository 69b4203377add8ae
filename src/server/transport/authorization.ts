/**
 * @returns an empty string without the header; null for several headers, or for several credentials in one: two readers
 * could choose different ones
 */
export function soleAuthorization(rawHeaders: readonly string[]): string | null {
  let found: string | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue;
    if (found !== undefined) return null;
    found = rawHeaders[at + 1] as string;
  }
  return /^(bearer|basic)\b.*,/i.test(found ?? '') ? null : (found ?? '');
}

const SERVICE_KEY_HEADER = 'x-service-key';
/** An empty header is an invalid key, and no missing one. */
const MALFORMED = '-';

/** @returns an empty string without the header; null for several headers or values */
export function soleServiceKey(rawHeaders: readonly string[]): string | null {
  const found = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === SERVICE_KEY_HEADER);
  const [only = ''] = found;
  if (found.length === 0) return '';
  return found.length > 1 || only.includes(',') ? null : only || MALFORMED;
}
