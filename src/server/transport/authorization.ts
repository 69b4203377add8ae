/**
 * The value of a request's `authorization` header; empty when it has none.
 * @param rawHeaders names and values in turn
 * @returns null for several values, or several in one: another reader of the request might choose another one
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
