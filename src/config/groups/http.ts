import type { BlockList } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { TlsOptions } from '../../server/transport/tls.ts';
import { anyText, identities, integer, listenAddress, networks, oneOf, onOff, origins, port } from '../formats.ts';
import { API, type Environment, type Keys, SERVICE, type Values } from '../key.ts';
import { readTlsSettings } from '../tls.ts';

const PEM = anyText('the path of a PEM file');

export const HTTP_KEYS = {
  HOST: {
    format: anyText('an IP address or a host name'),
    defaultText: 'all addresses, IPv6 and IPv4',
    usedBy: SERVICE,
    help: 'The address to listen on; a name stands for all of its addresses.',
  },
  PORT: { format: port, default: '8080', usedBy: API, help: 'The port of the API; 0 selects a free port.' },
  LISTEN_ADMIN: {
    format: listenAddress,
    usedBy: API,
    help: 'A second address and port for AdminService, VerifierService, ext_authz and reflection; PORT then rejects them.',
  },
  HEALTH_PORT: {
    format: port,
    usedBy: SERVICE,
    help: 'A port that answers /healthz and /readyz over plain HTTP, also where PORT requires TLS or a client certificate.',
  },
  TLS_CERT_FILE: {
    format: PEM,
    usedBy: API,
    help: 'The certificate chain; with it the API accepts only TLS 1.2 or later.',
  },
  TLS_KEY_FILE: { format: PEM, usedBy: API, help: 'The private key of the certificate.' },
  TLS_CLIENT_CA_FILE: {
    format: PEM,
    usedBy: API,
    help: 'The certificate authorities of client certificates.',
  },
  TLS_CLIENT_AUTH: {
    format: oneOf(['optional', 'required']),
    default: 'optional',
    usedBy: API,
    help: 'With required, the API rejects clients without a certificate.',
  },
  TLS_CLIENT_SERVICES: {
    format: identities,
    default: '',
    usedBy: API,
    help: 'The identities whose client certificates count as a service key.',
  },
  CORS_ORIGINS: {
    format: origins,
    default: '',
    usedBy: API,
    help: 'The origins whose pages can call the API.',
  },
  TRUSTED_PROXIES: {
    format: networks,
    default: '',
    usedBy: API,
    help: 'The proxies whose x-forwarded-for header sets the client address.',
  },
  PROXY_PROTOCOL: {
    format: onOff,
    default: 'off',
    usedBy: API,
    help: 'With on, connections from TRUSTED_PROXIES begin with a header of the PROXY protocol, version 1 or 2.',
  },
  POLICY_FILE: {
    format: anyText('the path of a YAML or JSON file'),
    usedBy: API,
    help: 'The policy file: requirements of the routes behind gateways. It is read again when it changes.',
  },
  MAX_CONNECTIONS_PER_PEER: {
    format: integer(1, 1_000_000),
    default: '1000',
    usedBy: API,
    help: 'Connections that one peer address can hold open.',
  },
  MAX_CONNECTION_AGE_SECONDS: {
    format: integer(0, 86_400, 'seconds'),
    default: '0',
    usedBy: API,
    help: 'Age at which an HTTP/2 connection is closed, give or take a tenth; 0 means never.',
  },
  MAX_CONNECTION_AGE_GRACE_SECONDS: {
    format: integer(1, 86_400, 'seconds'),
    default: '300',
    usedBy: API,
    help: 'Time in which the streams of a connection of that age can finish.',
  },
  KEEPALIVE_SECONDS: {
    format: integer(1, 7_200, 'seconds'),
    default: '30',
    usedBy: API,
    help: 'Interval of HTTP/2 pings.',
  },
  KEEPALIVE_TIMEOUT_SECONDS: {
    format: integer(1, 600, 'seconds'),
    default: '20',
    usedBy: API,
    help: 'Time after which a connection without an answer to a ping is closed.',
  },
  GRPC_REFLECTION: {
    format: onOff,
    defaultText: 'off in production without LISTEN_ADMIN, otherwise on',
    usedBy: API,
    help: 'Whether every caller can use gRPC reflection; with off, only services and administrators can.',
  },
} as const satisfies Keys;

export type HttpSettings = {
  host: string;
  port: number;
  /** Null when PORT serves every service. */
  listenAdmin: { host: string; port: number } | null;
  healthPort: number | null;
  tls: TlsOptions | null;
  corsOrigins: string[];
  trustedProxies: BlockList;
  usesProxyProtocol: boolean;
  policyFile: string | null;
  maxConnectionsPerPeer: number;
  lifetime: { maxAgeMs: number; graceMs: number; pingEveryMs: number; pingTimeoutMs: number };
  hasPublicReflection: boolean;
};

export function httpSettings(
  values: Values<typeof HTTP_KEYS>,
  { isProduction, environment }: { isProduction: boolean; environment: Environment },
  problems: string[],
): HttpSettings {
  if (values.PROXY_PROTOCOL === 'on' && environment.TRUSTED_PROXIES === undefined) {
    problems.push('PROXY_PROTOCOL=on requires TRUSTED_PROXIES: headers of other peers are not trusted');
  }
  const host = values.HOST ?? anyAddress();
  const { LISTEN_ADMIN: admin } = values;
  const defaultReflection = isProduction && !admin ? 'off' : 'on';
  return {
    host,
    port: values.PORT,
    listenAdmin: admin ? { host: admin.host || host, port: admin.port } : null,
    healthPort: values.HEALTH_PORT ?? null,
    tls: readTlsSettings(values, problems),
    corsOrigins: values.CORS_ORIGINS,
    trustedProxies: values.TRUSTED_PROXIES,
    policyFile: values.POLICY_FILE ?? null,
    usesProxyProtocol: values.PROXY_PROTOCOL === 'on',
    maxConnectionsPerPeer: values.MAX_CONNECTIONS_PER_PEER,
    lifetime: {
      maxAgeMs: values.MAX_CONNECTION_AGE_SECONDS * 1000,
      graceMs: values.MAX_CONNECTION_AGE_GRACE_SECONDS * 1000,
      pingEveryMs: values.KEEPALIVE_SECONDS * 1000,
      pingTimeoutMs: values.KEEPALIVE_TIMEOUT_SECONDS * 1000,
    },
    hasPublicReflection: (values.GRPC_REFLECTION ?? defaultReflection) === 'on',
  };
}

/** `::` accepts IPv4 as well. */
function anyAddress(): string {
  const interfaces = Object.values(networkInterfaces()).flat();
  return interfaces.some((one) => one?.family === 'IPv6') ? '::' : '0.0.0.0';
}
