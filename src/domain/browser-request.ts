// Rules about requests of browsers: the Fetch standard, Fetch Metadata, and cookies (RFC 6265).

export type ReadHeader = (name: string) => string;

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];
const MAX_RETURN_CHARACTERS = 2_048;
/** Browsers keep about 180 for a host. */
const MAX_COOKIES = 1_000;

/** Whether a redirect makes sense to the client: the request of a page that the user sees, not of a script. */
export function isPageRequest(method: string, header: ReadHeader): boolean {
  if (method !== 'GET' && method !== 'HEAD') return false;
  const mode = header('sec-fetch-mode');
  if (mode !== '') return mode === 'navigate';
  // Older browsers, and pages in clear text beyond localhost.
  return header('accept').includes('text/html') && header('x-requested-with') === '';
}

/** A WebSocket begins with GET, and the same-origin policy does not apply to it (RFC 6455 section 10.2). */
export function canChangeState(method: string, header: ReadHeader): boolean {
  // Some gateways remove `upgrade`, and some browsers send no `sec-fetch-mode`.
  const isWebSocket = header('sec-fetch-mode') === 'websocket' || header('sec-websocket-key') !== '';
  return !SAFE_METHODS.includes(method) || isWebSocket || header('upgrade') !== '';
}

/**
 * Defends against CSRF: no page of another origin can set these headers. Every browser sends `origin` with a request
 * that can change state. A page with `referrer-policy: no-referrer` sends `null` there.
 */
export function isFromOwnPage(header: ReadHeader, origins: readonly string[]): boolean {
  const origin = header('origin');
  if (origin !== '' && origin !== 'null') return origins.includes(origin);
  return header('sec-fetch-site') === 'same-origin';
}

/** Empty without the cookie, and for several of its name: another host of the domain can have set one of them. */
export function soleCookie(cookieHeader: string, name: string): string {
  const values = cookiePairs(cookieHeader).filter((pair) => pair.startsWith(`${name}=`));
  return values.length === 1 ? (values[0] as string).slice(name.length + 1) : '';
}

/** Envoy joins several `cookie` headers with commas for ext_authz. */
export function withoutCookies(cookieHeader: string, names: readonly string[]): string {
  // Some services read `name =value` as `name=value`.
  const isKept = (text: string) => !names.includes((text.split('=', 1)[0] as string).trim());
  const withoutParts = (pair: string) => pair.split(',').filter(isKept).join(',');
  return cookiePairs(cookieHeader)
    .map(withoutParts)
    .filter((pair) => pair !== '')
    .join('; ');
}

/** The path and query to return to. Another origin cannot be named, so there is no open redirect. `/` for other text. */
export function returnTarget(text: string): string {
  const isPath = text.length <= MAX_RETURN_CHARACTERS && /^\/(?!\/)[!-[\]-~]*$/.test(text);
  return isPath && URL.parse(text, 'http://here.invalid')?.host === 'here.invalid' ? text : '/';
}

/** None for more than a browser sends, as reading them all would take too long. */
function cookiePairs(cookieHeader: string): string[] {
  const pairs = cookieHeader.split(';', MAX_COOKIES + 1);
  if (pairs.length > MAX_COOKIES) return [];
  return pairs.map((pair) => pair.trim()).filter((pair) => pair !== '');
}
