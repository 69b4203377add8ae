// pg parses the URL, because its `require`, unlike that of libpq, verifies the certificate and the name of the server
// (README of pg-connection-string).
import pg from 'pg';
import { isLoopback } from '../../domain/loopback.ts';
import { hostUrls } from './host-urls.ts';

export type ConnectionSecurity =
  /** A Unix socket, or an address of this machine. */
  | 'local'
  | 'verified'
  | 'unverified'
  | 'cleartext'
  /** A certificate or key cannot be read, or the parameters contradict each other. */
  | 'unusable';

/** By their definition these fall back to cleartext when the server has no TLS. A later pg may do so. */
const FALLS_BACK = ['disable', 'allow', 'prefer'];

/** @param url with one host or several: the least protected host counts */
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

function parametersOf(url: string): Parameters | null {
  try {
    const { host, ssl } = new pg.Client({ connectionString: url }) as { host: string; ssl: boolean | TlsSettings };
    return { host, ssl, sslmodes: URL.parse(url)?.searchParams.getAll('sslmode') ?? [] };
  } catch {
    return null;
  }
}
