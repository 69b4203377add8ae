// Parses REDIS_URL. src/redis owns the connections to Redis and their health. It must not contain the use of the data
// there.

export type RedisAddress = {
  kind: 'server' | 'sentinel' | 'cluster';
  isEncrypted: boolean;
  /** The server, the Sentinels, or some nodes of the cluster. */
  hosts: { host: string; port: number }[];
  username: string;
  password: string;
  db: number;
  /** The name of the primary at the Sentinels; otherwise empty. */
  masterName: string;
  sentinelUsername: string;
  sentinelPassword: string;
};

const FORM =
  /^(?<tls>rediss?)(?:\+(?<kind>sentinel|cluster))?:\/\/(?:(?<login>[^/?#@]*)@)?(?<hosts>[^/?#@]+)(?:\/(?<path>[^?#]*))?(?:\?(?<query>[^#]*))?$/;
const HOST = /^(?:\[(?<ipv6>[0-9a-f:.]+)\]|(?<name>[a-z0-9._-]+))(?::(?<port>\d{1,5}))?$/i;
const DEFAULT_PORT = { server: 6379, sentinel: 26_379, cluster: 6379 };
const MAX_PORT = 65_535;
const SENTINEL_LOGIN = ['sentinel_username', 'sentinel_password'];

export const REDIS_URL_FORMS =
  'must be redis://user:password@host:6379/0, redis+sentinel://user:password@host:26379,host:26379/master-name/0 or ' +
  'redis+cluster://user:password@host:6379,host:6379, each with rediss for TLS; ' +
  'write / ? # @ : and % in a name or password as %2F %3F %23 %40 %3A and %25';

export function parseRedisUrl(text: string): RedisAddress | null {
  const parts = FORM.exec(text)?.groups;
  if (!parts) return null;
  const kind = (parts.kind ?? 'server') as RedisAddress['kind'];
  try {
    const hosts = (parts.hosts ?? '').split(',').map((host) => parseHost(host, DEFAULT_PORT[kind]));
    const path = parsePath(kind, parts.path ?? '');
    const login = parseLogin(parts.login);
    const sentinelLogin = parseSentinelLogin(kind, parts.query);
    if (!path || !login || !sentinelLogin || !hosts.every((host) => host !== null)) return null;
    if (kind === 'server' && hosts.length > 1) return null;
    return { kind, isEncrypted: parts.tls === 'rediss', hosts, ...path, ...login, ...sentinelLogin };
  } catch (error) {
    // decodeURIComponent rejects a lone percent sign.
    if (error instanceof URIError) return null;
    throw error;
  }
}

function parseHost(text: string, defaultPort: number): RedisAddress['hosts'][number] | null {
  const { ipv6, name, port } = HOST.exec(text)?.groups ?? {};
  const host = ipv6 ?? name;
  const number = Number(port ?? defaultPort);
  return host === undefined || number < 1 || number > MAX_PORT ? null : { host, port: number };
}

function parsePath(kind: RedisAddress['kind'], path: string): Pick<RedisAddress, 'masterName' | 'db'> | null {
  const form = kind === 'sentinel' ? /^(?<name>[^/]+)(?:\/(?<db>\d{1,5})?)?$/ : /^(?<db>\d{1,5})?$/;
  const found = form.exec(path)?.groups;
  if (!found) return null;
  const db = Number(found.db ?? 0);
  return kind === 'cluster' && db !== 0 ? null : { masterName: decodeURIComponent(found.name ?? ''), db };
}

function parseLogin(login: string | undefined): Pick<RedisAddress, 'username' | 'password'> | null {
  if (login === undefined) return { username: '', password: '' };
  const [username = '', password = '', ...rest] = login.split(':').map(decodeURIComponent);
  return rest.length > 0 || password === '' ? null : { username, password };
}

function parseSentinelLogin(
  kind: RedisAddress['kind'],
  query: string | undefined,
): Pick<RedisAddress, 'sentinelUsername' | 'sentinelPassword'> | null {
  // URLSearchParams would read a plus sign in a password as a space.
  const pairs = (query ?? '').split('&').filter((pair) => pair !== '');
  const values = new Map(pairs.map((pair) => pair.split('=', 2).map(decodeURIComponent) as [string, string]));
  const isKnown = kind === 'sentinel' && [...values.keys()].every((name) => SENTINEL_LOGIN.includes(name));
  if (values.size > 0 && !isKnown) return null;
  const [sentinelUsername = '', sentinelPassword = ''] = SENTINEL_LOGIN.map((name) => values.get(name) ?? '');
  return sentinelUsername !== '' && sentinelPassword === '' ? null : { sentinelUsername, sentinelPassword };
}
