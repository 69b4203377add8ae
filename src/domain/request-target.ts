// The ways in which servers read a request's host and path. A path such as `/public/..;/admin` is one resource for the
// gateway and another for the service behind it, so a policy must consider every reading.

/** `;` and `%2f` occur in usual paths. A path with more readings than this is hostile. */
const MAX_READINGS = 64;
/** The sum of all readings. */
const MAX_CHARACTERS = 16 * 1024;

const PLAIN_PATH = /^(?:\/[\w~!$&'()*+,=:@-][\w.~!$&'()*+,=:@-]*)+\/?$|^\/$/;
/** A control character can end a text in another program. U+FFFD stands for bytes outside UTF-8. */
const UNREADABLE = /[\p{Cc}\ufffd]/u;

/** Each turns a path into what some server makes of it. Servers apply them in any order. */
const REWRITES: ((path: string) => string)[] = [
  percentDecoded,
  (path) => path.replaceAll('\\', '/'),
  // Servlet containers remove path parameters before they resolve `..`.
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  withoutDotSegments,
  (path) => path.replace(/[?#].*$/s, ''),
  // Some file systems read full-width letters and dots as the usual ones.
  (path) => path.normalize('NFKC'),
];

/** @returns every reading of the path, or null for a path that is not a path or has too many of them */
export function readingsOf(target: string): string[] | null {
  const path = target.split('?', 1)[0] as string;
  if (PLAIN_PATH.test(path)) return [path];
  if (!path.startsWith('/') || path.length > MAX_CHARACTERS / 2) return null;
  const readings = new Set([path]);
  let characters = path.length;
  // A set yields what is added during the loop, too.
  for (const reading of readings) {
    if (UNREADABLE.test(reading)) return null;
    for (const rewrite of REWRITES) {
      const next = rewrite(reading);
      if (readings.has(next)) continue;
      readings.add(next);
      characters += next.length;
      if (readings.size > MAX_READINGS || characters > MAX_CHARACTERS) return null;
    }
  }
  return [...readings];
}

/** In lower case, without port and final dot. Null for a text that is not a host. */
export function normalizedHost(authority: string): string | null {
  const [, bracketed, name] =
    /^(?:(\[[0-9a-f:.]+\])|([a-z0-9._-]+?)\.?)(?::\d{1,5})?$/.exec(authority.toLowerCase()) ?? [];
  return bracketed ?? name ?? null;
}

/** Bytes outside UTF-8, such as the overlong form of a dot, become U+FFFD. */
function percentDecoded(path: string): string {
  if (!path.includes('%')) return path;
  return path.replace(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString());
}

/** RFC 3986 section 5.2.4. */
function withoutDotSegments(path: string): string {
  if (!path.includes('/.')) return path;
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  const last = segments.at(-1);
  return `/${kept.join('/')}${(last === '.' || last === '..') && kept.length > 0 ? '/' : ''}`;
}
