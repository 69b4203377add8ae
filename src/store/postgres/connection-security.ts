// How well a connection URL protects what it carries. pg itself is asked, because its meaning of sslmode is not that of libpq
// (pg-connection-string's README): here require, too, verifies the server's certificate and name.
import pg from 'pg';
import { isLoopback } from '../../domain/loopback.ts';
import { hostUrls } from './host-urls.ts';

export type ConnectionSecurity =
  /** A Unix socket, or an address of this machine. */
  | 'local'
  | 'verified'
  /** TLS with a server that could be anybody. */
  | 'unverified'
  | 'cleartext'
  /** A certificate or key that the URL names cannot be read, or its parameters contradict each other. */
  | 'unusable';

/** Their names promise cleartext where the server has no TLS, and pg may follow them one day. */
const FALLS_BACK = ['disable', 'allow', 'prefer'];

/** @param url with one host or several: the least protected one counts */
export function connectionSecurity(url: string): ConnectionSecurity {
  const found = hostUrls(url).map(securityOfHost);
  return FROM_WORST.find((one) => found.includes(one)) ?? 'unusable';
}

const FROM_WORST: ConnectionSecurity[] = ['unusable', 'cleartext', 'unverified', 'verified', 'local'];

function securityOfHost(url: string): ConnectionSecurity {
  const parameters = parametersOf(url);
  if (parameters === null) return 'unusable';
  const { host, ssl, sslmodes } = parameters;
  if (host.startsWith('/') || isLoopback(host)) return 'local';
  if (!ssl || sslmodes.some((mode) => FALLS_BACK.includes(mode))) return 'cleartext';
  const isVerified = ssl === true || (ssl.rejectUnauthorized !== false && ssl.checkServerIdentity === undefined);
  return isVerified ? 'verified' : 'unverified';
}

type Parameters = { host: string; ssl: boolean | TlsSettings; sslmodes: string[] };
type TlsSettings = { rejectUnauthorized?: unknown; checkServerIdentity?: unknown };

/** Nothing is connected to. */
function parametersOf(url: string): Parameters | null {
  try {
    const { host, ssl } = new pg.Client({ connectionString: url }) as { host: string; ssl: boolean | TlsSettings };
    return { host, ssl, sslmodes: URL.parse(url)?.searchParams.getAll('sslmode') ?? [] };
  } catch {
    return null;
  }
}
