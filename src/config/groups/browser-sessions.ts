import type { BrowserSessions } from '../../domain/browser-sessions.ts';
import { isLoopback } from '../../domain/loopback.ts';
import { check, items } from '../formats.ts';
import { API, type Format, type Keys, type Values } from '../key.ts';

const ORIGINS: Format<string[]> = check(
  'origins such as https://app.example, all with https://, or all with http:// on this machine; one for each host',
  items,
  (list) => {
    const urls = list.map((item) => URL.parse(item));
    const isCanonical = urls.every((url, n) => url?.origin === list[n]);
    const isPrivate = urls.every((url) => url?.protocol === 'https:') || urls.every(isLocal);
    return isCanonical && isPrivate && new Set(urls.map((url) => url?.host)).size === list.length;
  },
);

const PATH: Format<string> = check(
  'a path such as /login, without a query',
  items.transform((list) => list.join()),
  (path) => /^\/(?!\/)[\w./~-]*$/.test(path),
);

export const BROWSER_SESSION_KEYS = {
  SESSION_COOKIE_ORIGINS: {
    format: ORIGINS,
    default: '',
    usedBy: API,
    help: 'The origins whose users sign in with a cookie behind a gateway. Without any, /session and session=cookie are off.',
  },
  SESSION_COOKIE_SIGN_IN_PATH: {
    format: PATH,
    default: '/session/sign-in',
    usedBy: API,
    help: 'The page where users sign in, on each of these origins. It receives the query parameter return.',
  },
} as const satisfies Keys;

/** Null when cookies of browsers are off. */
export function browserSessionSettings(values: Values<typeof BROWSER_SESSION_KEYS>): BrowserSessions | null {
  const origins = values.SESSION_COOKIE_ORIGINS;
  if (origins.length === 0) return null;
  const isSecure = origins.every((origin) => origin.startsWith('https:'));
  return { origins, signInPath: values.SESSION_COOKIE_SIGN_IN_PATH, isSecure };
}

function isLocal(url: URL | null): boolean {
  return url?.protocol === 'http:' && isLoopback(url.hostname);
}
