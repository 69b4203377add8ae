// The ways in which services of different kinds read one path: RFC 3986, Tomcat, Windows, and decoders of every leniency.

/** The paths that services of different kinds read from this one. */
function readings(target: string): Set<string> {
  const path = target.replace(/^[a-z]+:\/\/[^/?#\\]*/i, '').replace(/\?.*$/s, '');
  const found = new Set([path]);
  for (const one of found) {
    if (found.size > 500) break;
    for (const read of READERS) found.add(read(one));
  }
  return found;
}

const READERS: ((path: string) => string)[] = [
  (path) => path.replace(/%([0-9a-f]{2})/gi, (_, code) => String.fromCharCode(Number.parseInt(code, 16))),
  (path) => path.replace(/%u([0-9a-f]{4})/gi, (_, code) => String.fromCharCode(Number.parseInt(code, 16))),
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  (path) => path.split('\0', 1)[0] ?? '',
  (path) => path.split('#', 1)[0] ?? '',
  (path) =>
    path.replace(/[.\s\p{Cc}]+(?=\/|$)/gu, (end) => (/^\.{1,2}$/.test(end) ? end : end.startsWith('..') ? '..' : '')),
  (path) => path.replace(/[\xc0\xc1][\x80-\xbf]/g, (two) => overlong(two)),
  (path) => path.replace(/\xe0[\x80-\x9f][\x80-\xbf]/g, (three) => overlong(three.slice(1), true)),
  (path) => withoutDotSegments(path),
  (path) => path.toLowerCase(),
];

function overlong(bytes: string, isContinued = false): string {
  const [first = 0, second = 0] = [...bytes].map((byte) => byte.charCodeAt(0));
  return String.fromCharCode(((first & (isContinued ? 0x3f : 0x1f)) << 6) | (second & 0x3f));
}

/** RFC 3986 section 5.2.4. */
function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.length > 1 && kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  return kept.join('/');
}

export function isAdmin(target: string): boolean {
  return [...readings(target)].some((path) => /^\/*admin/i.test(path));
}

export function isPublic(target: string): boolean {
  return [...readings(target)].every((path) => path.toLowerCase().startsWith('/public'));
}
