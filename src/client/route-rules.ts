// Which rule an HTTP request has, by the prefix of its path.
import { AuthError } from '../domain/auth-error.ts';
import { readingsOf } from '../domain/request-target.ts';
import { type AccessRule, type AccessRules, invalid, parseRule, REQUIRED } from './access-rule.ts';

/** @throws AuthError INVALID_ARGUMENT for a path that servers could read as paths with different rules */
export type RouteRules = (method: string, url: string) => AccessRule;

type Route = { method: string; path: string; rule: AccessRule };

const KEY = /^(?:([A-Z]+) )?(\/[^\s?#]*)$/;
/** RFC 9112 section 3.2.2: a server must accept it, and its path begins behind the authority. */
const ABSOLUTE_FORM = /^https?:\/\/[^/?#]*/i;

/** @throws TypeError for a key that is no path */
export function parseRouteRules(rules: AccessRules): RouteRules {
  const routes = Object.entries(rules).map(([key, rule]) => parseRoute(key, rule));
  if (routes.length === 0) return () => REQUIRED;
  // The longest path first, and at equal length the one with a method.
  routes.sort((a, b) => b.path.length - a.path.length || b.method.length - a.method.length);
  const names = routes.map(({ method, path }) => `${method} ${path}`);
  names.forEach((name, n) => {
    if (names.indexOf(name) !== n) invalid(name.trim(), 'occurs twice');
  });

  const ruleOf = (method: string, path: string) =>
    routes.find((route) => (route.method === '' || route.method === method) && isBelow(route.path, path))?.rule ??
    REQUIRED;
  return (method, url) => {
    // Frameworks answer HEAD with the handler of GET.
    const read = method === 'HEAD' ? 'GET' : method;
    const [rule, ...others] = new Set(readings(url).map((path) => ruleOf(read, path)));
    if (!rule || others.length > 0) throw ambiguous();
    return rule;
  };
}

function parseRoute(key: string, given: AccessRule | AccessRules[string]): Route {
  const [, method = '', path = ''] = KEY.exec(key) ?? [];
  if (path === '' || readingsOf(path)?.length !== 1)
    invalid(key, "must be a plain path such as '/admin', or 'POST /admin'");
  return { method, path: canonical(path), rule: parseRule(key, given) };
}

/** The router behind the middleware may ignore case and a final slash. */
function canonical(path: string): string {
  return path.toLowerCase().replace(/\/$/, '');
}

function isBelow(prefix: string, path: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`);
}

function readings(url: string): string[] {
  const target = url.replace(ABSOLUTE_FORM, '') || '/';
  return (readingsOf(target) ?? []).map(canonical);
}

function ambiguous(): AuthError {
  const violations = [{ field: 'path', description: 'must be a path that every server reads in the same way' }];
  return new AuthError('INVALID_ARGUMENT', { violations });
}
