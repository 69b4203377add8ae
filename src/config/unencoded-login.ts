// Finds user names and passwords that are not percent-encoded in connection URLs. It works on text, because a URL parser
// takes such a password for a host, a port or a path. Several hosts (`user:password@a:5432,b:5432`) are fine.

/** The remedy. It never repeats the value. */
export const UNENCODED_LOGIN =
  'has a character in its user or password that a URL cannot hold as it is: percent-encode it (%2F for /, %23 for #, %3F for ?, %40 for @, %25 for %)';

export function hasUnencodedLogin(text: string): boolean {
  const [, rest] = /^[a-z][a-z0-9+.-]*:\/\/(.*)$/is.exec(text) ?? [];
  if (rest === undefined) return false;
  const [authority = ''] = /^[^/?#]*/.exec(rest) ?? [];
  const login = authority.slice(0, Math.max(authority.lastIndexOf('@'), 0));
  if (login.includes('@') || /%(?![0-9a-f]{2})/i.test(login)) return true;
  // An @ further on is the end of a login that holds a / or ? or #, unless it is part of a parameter's value.
  const [beforeQuery = '', ...queries] = rest.slice(authority.length).split('?');
  const query = queries.join('?');
  if (beforeQuery.includes('@') || /#.*@/s.test(query)) return true;
  return query.includes('@') && !(isHosts(authority.slice(authority.lastIndexOf('@') + 1)) && isParameters(query));
}

/** `host:port,host:port`: a password that was cut at its ? would stand where the port does. */
function isHosts(text: string): boolean {
  return text.split(',').every((host) => /^(\[[0-9a-f:.%]*\]|[^:]*)(:\d*)?$/i.test(host));
}

function isParameters(query: string): boolean {
  return query.split('&').every((parameter) => /^[a-z][\w.-]*=/i.test(parameter));
}
