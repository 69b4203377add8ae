// Finds user names and passwords in connection URLs that are not percent-encoded. It reads the text, because a URL
// parser would take such a password for a host, a port or a path. Several hosts (`user:password@a:5432,b:5432`) are
// valid.

export const UNENCODED_LOGIN =
  'has a character in its user or password that a URL cannot hold as it is: percent-encode it (%2F for /, %23 for #, %3F for ?, %40 for @, %25 for %)';

export function hasUnencodedLogin(text: string): boolean {
  const [, rest] = /^[a-z][a-z0-9+.-]*:\/\/(.*)$/is.exec(text) ?? [];
  if (rest === undefined) return false;
  const [authority = ''] = /^[^/?#]*/.exec(rest) ?? [];
  const login = authority.slice(0, Math.max(authority.lastIndexOf('@'), 0));
  if (login.includes('@') || /%(?![0-9a-f]{2})/i.test(login)) return true;
  // A later @ ends a login that contains a / or ? or #, unless it is part of the value of a parameter.
  const [beforeQuery = '', ...queries] = rest.slice(authority.length).split('?');
  const query = queries.join('?');
  if (beforeQuery.includes('@') || /#.*@/s.test(query)) return true;
  return query.includes('@') && !(isHosts(authority.slice(authority.lastIndexOf('@') + 1)) && isParameters(query));
}

/** A part of a password, cut at its ?, would stand in the place of a port. */
function isHosts(text: string): boolean {
  return text.split(',').every((host) => /^(\[[0-9a-f:.%]*\]|[^:]*)(:\d*)?$/i.test(host));
}

function isParameters(query: string): boolean {
  return query.split('&').every((parameter) => /^[a-z][\w.-]*=/i.test(parameter));
}
