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
