// The hostile table: names of identity headers in every spelling, and paths that a service could read as another path.

export const IDENTITY_NAMES = [
  'x-auth-user-id',
  'x-auth-session-id',
  'x-auth-email',
  'x-auth-email-verified',
  'x-auth-acr',
  'x-auth-time',
  'x-auth-service',
  'x-auth-roles',
];

/** The characters that a header's name can have beside letters and digits (RFC 9110 section 5.6.2). */
const SEPARATORS = ['!', '#', '$', '%', '&', "'", '*', '+', '.', '^', '_', '`', '|', '~'];

/** Every name under which some service would find an identity header: CGI and its kin read any of these as a hyphen. */
export function spellings(): string[] {
  const common = IDENTITY_NAMES.flatMap((name) => [
    name,
    name.toUpperCase(),
    name.replace(/(^|-)./g, (letter) => letter.toUpperCase()),
    name.replace(/[aeiou]/g, (letter) => letter.toUpperCase()),
    name.replaceAll('-', '_'),
    name.replaceAll('-', '_').toUpperCase(),
    name.replace('-', '_'),
    name.replace(/-([^-]*)$/, '_$1'),
    name.replace('auth-', 'auth_'),
  ]);
  const roles = SEPARATORS.flatMap((separator) => [
    'x-auth-roles'.replaceAll('-', separator),
    `x${separator}auth-roles`,
    `x-auth${separator}roles`,
    `X${separator}Auth_Roles`,
  ]);
  return [...new Set([...common, ...roles])];
}

/** Headers that a client sends beside its token. */
export const DISGUISES: string[][] = [
  ['x-auth-roles: admin', 'x-auth-roles: root'],
  ['X-Auth-Roles: admin', 'x_auth_roles: root', 'x-auth-roles: user'],
  ['x-auth-roles:'],
  ['x-auth-user-id:', 'x-auth-service:'],
  ['x-auth-roles: user,admin'],
  ['x-auth-roles:\tadmin'],
  ['x-auth-service: \u00e9'],
];

/** Lines that only HTTP/1.1 can send. */
export const HTTP1_DISGUISES: string[][] = [
  ['x-auth-roles : admin'],
  ['x-auth-roles\t: admin'],
  ['accept: */*', ' x-auth-roles: admin'],
  ['accept: */*\n x-auth-roles: admin'],
  ['accept: */*\nx-auth-roles: admin'],
  ['accept: */*\rx-auth-roles: admin'],
  ['x-auth-roles\u0000: admin'],
  ['x-auth\u00adroles: admin'],
  [': admin', 'x-auth-roles: admin'],
  ...['x-auth-user-id', 'x-auth-email-verified, x-auth-roles', 'close, x-auth-service', 'keep-alive, X-Auth-Roles'].map(
    (option) => [`connection: ${option}`, 'x-auth-roles: admin'],
  ),
  ['connection: x-auth-user-id', 'connection: x-auth-roles'],
  ['connection: upgrade, x-auth-roles', 'upgrade: websocket, h2c'],
  ['connection: upgrade, http2-settings', 'upgrade: h2c', 'http2-settings: AAMAAABkAAQCAAAAAAIAAAAA'],
  ['keep-alive: x-auth-roles', 'proxy-connection: x-auth-roles', 'x-auth-roles: admin'],
  ['connection: te, x-auth-roles', 'te: trailers'],
];

/** Trailers of a chunked request, announced or not. */
export const TRAILERS = ['x-auth-roles: admin', 'X_Auth_Roles: admin', 'X-Auth-User-Id: root\r\nx-auth-service: root'];

export const SERVED_PATHS = {
  public: [
    '/public/',
    '/public/a.b',
    '/public/a%20b',
    '/public/%C3%A9',
    "/public/~x/@y,(z)*'$&=+!:",
    '/public/.well-known/x',
  ],
  queries: ['/public/?x=/../admin', '/public/?x=%2e%2e%2f..//%5c', '/public/?a=%zz&b=%25'],
};

/** Each could reach /admin in some service. */
const DETOURS = [
  ...['../admin', './../admin', '../admin/', '..;/admin', '..;x=1/admin', ';/../admin', ';x/../admin', '.;/../admin'],
  ...['%2e%2e/admin', '%2E%2E/admin', '.%2e/admin', '%2e./admin', '..%2fadmin', '..%2Fadmin', '%2e%2e%2fadmin'],
  ...['..\\admin', '..%5cadmin', '..%5Cadmin', '%2e%2e%5cadmin', '\\..\\admin', '%5c..%5cadmin', '..\\/admin'],
  ...['%252e%252e/admin', '%252e%252e%252fadmin', '..%252fadmin', '..%255cadmin', '%25252e%25252e/admin'],
  ...['..%00/admin', '%00/../admin', '..%01/admin', '..%09/admin', '..%20/admin', '..%0a/admin', '..%0d%0a/admin'],
  ...['%c0%ae%c0%ae/admin', '..%c0%afadmin', '..%c1%9cadmin', '%e0%80%ae%e0%80%ae/admin', '%f0%80%80%ae./admin'],
  ...['%f8%80%80%80%ae./admin', '\u00c0\u00ae\u00c0\u00ae/admin', '..\u00c0\u00afadmin', '%u002e%u002e/admin'],
  ...['..#/admin', '#/../admin', '..%23/admin', '%3f/../admin', '..%3b/admin', '..%3B/admin', '..%3bx/admin'],
  ...['.../admin', '..../admin', '/../admin', '//../../admin', '/..//admin', '..//admin', './/../admin'],
  ...['..%/admin', '..%2/admin', '..%zz/admin', '%%32%65%%32%65/admin', '..%%35%63admin', '..\t/admin'],
  // A gateway could expand these names itself.
  ...['{http.request.header.x-hidden}/../../admin', '$http_x_hidden/../../admin', '%[req.hdr(x-hidden)]/../../admin'],
];

/** Each is /admin for some service. */
const ADMIN_PATHS = [
  ...['/admin', '/admin/', '/admin/x', '/ADMIN/', '/Admin', '/aDmIn/x', '/%61dmin', '/%61%64%6d%69%6e/', '/%41dmin'],
  ...[
    '//admin',
    '//admin/',
    '///admin',
    '/./admin',
    '/.//admin',
    '/x/../admin',
    '/%2e/admin',
    '/%2fadmin',
    '/%5cadmin',
  ],
  ...['/\\admin', '\\admin', '/;/admin', '/;x=1/admin', '/admin;', '/admin;x=1', '/admin;/x', '/;admin', '/%3b/admin'],
  ...[
    '/admin%00',
    '/admin%00.png',
    '/admin%20',
    '/admin.',
    '/admin..',
    '/admin%2e',
    '/admin%2f',
    '/admin%5c',
    '/admin\\',
  ],
  ...[
    '/admin%23',
    '/admin#',
    '/admin%3f',
    '/admin%09',
    '/%09admin',
    '/admin\t',
    '/%2561dmin',
    '/%252fadmin',
    '/%c1%a1dmin',
  ],
  ...['/%e0%81%a1dmin', '/%c0%afadmin', '/admin/..;/admin', '/admin?/public/', '/admin/?x=/public/', '/admin/../admin'],
  ...['admin', 'admin/', '/admin::$DATA', '/admin/./', '/%u0061dmin', '/%EF%BC%8E%EF%BC%8E/admin'],
];

export const HOSTILE_PATHS = [
  ...ADMIN_PATHS,
  ...DETOURS.flatMap((detour) => [`/public/${detour}`, `/orders/${detour}`]),
];

/** Only HTTP/1.1 has these request targets. */
export const HOSTILE_TARGETS = [
  ...['http://shop/admin', 'http://shop/ADMIN/', 'http://shop//admin', 'http://public/../admin', 'HTTP://shop/admin'],
  ...[
    'http://shop/public/../admin',
    'http://shop/public/..;/admin',
    'http://shop\\admin',
    'http:///admin',
    'http:/admin',
  ],
  ...[
    'https://shop/admin',
    'ftp://shop/admin',
    '*',
    'shop:80',
    '/public/ /admin',
    '/public/\u0000/../admin',
    '?/../admin',
  ],
];
