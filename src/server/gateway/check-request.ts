// Reads Envoy's CheckRequest: the client's request, its origin, and the requirements of its route.
import type { CheckRequest } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { soleBearerToken } from '../../domain/bearer-token.ts';
import type { BrowserSessions } from '../../domain/browser-sessions.ts';
import type { RoutePolicy } from '../../policy/route-policy.ts';
import { combineRequirements, parseRequirement } from '../../policy/route-requirement.ts';
import type { GatewayRequest } from './authorize-request.ts';
import { otherCookies, readBrowserRequest } from './browser-request.ts';
import { type ClientProtocol, clientProtocol } from './denied-response.ts';
import { isPreflight } from './preflight.ts';

/** Null without POLICY_FILE. */
export type CurrentPolicy = (() => RoutePolicy) | null;

/** The metadata of the Check call. The gateway sets it, and no client of the gateway can. */
type CheckMetadata = [name: string, value: string][];

/** Everything that decides about a request beside the request itself. */
export type CheckSource = {
  metadata: CheckMetadata;
  policy: CurrentPolicy;
  browserSessions: BrowserSessions | null;
};

export type CheckedClient = {
  protocol: ClientProtocol;
  requestId: string;
  userAgent: string;
  /** In the form of x-forwarded-for: the last entry is the peer of the gateway. */
  forwardedFor: string;
};

/** The prefix of requirements in the metadata: gRFC A92 and the Gateway API send no context extensions. */
export const METADATA_PREFIX = 'x-latchkey-';
const READ = new Set([
  ...['authorization', 'content-type', 'connect-protocol-version', ':authority', 'host'],
  ...['x-request-id', 'x-forwarded-for', 'user-agent', 'origin', 'access-control-request-method'],
  ...['cookie', 'accept', 'sec-fetch-mode', 'sec-fetch-site', 'upgrade', 'x-requested-with'],
  'sec-websocket-key',
]);

/** @throws AuthError INVALID_ARGUMENT for an invalid requirement */
export function readRequest(
  { attributes }: CheckRequest,
  headers: CheckHeaders,
  { metadata, policy, browserSessions }: CheckSource,
): GatewayRequest {
  const http = attributes?.request?.http;
  const sources = [
    parseRequirement(attributes?.contextExtensions ?? {}),
    parseRequirement(namedRequirements(metadata), METADATA_PREFIX),
  ];
  const host = http?.host || headers.first(':authority') || headers.first('host');
  const original = { method: http?.method ?? '', host, target: http?.path ?? '' };
  if (policy) sources.push(policy().requirementFor(host, original.target));
  const requirement = combineRequirements(sources);
  // HTTP/2 can carry cookies in several fields (RFC 9113 section 8.2.3).
  const header = (name: string) => (name === 'cookie' ? headers.all(name).join('; ') : headers.first(name));
  return {
    requirement,
    token: soleBearerToken(headers.all('authorization')),
    isPreflight: isPreflight(original.method, header),
    browser: readBrowserRequest(browserSessions, requirement, original, header),
    otherCookies: otherCookies(browserSessions, header),
  };
}

export function readClient({ attributes }: CheckRequest, headers: CheckHeaders): CheckedClient {
  const http = attributes?.request?.http;
  const source = attributes?.source?.address?.address;
  const peer = source?.case === 'socketAddress' ? source.value.address : '';
  return {
    protocol: clientProtocol(headers.first, { path: http?.path ?? '', streamId: http?.id ?? '' }),
    requestId: headers.first('x-request-id'),
    userAgent: headers.first('user-agent'),
    forwardedFor: [...headers.all('x-forwarded-for'), peer].filter((part) => part !== '').join(','),
  };
}

export type CheckHeaders = { all(name: string): string[]; first(name: string): string };

export function headersOf({ attributes }: CheckRequest): CheckHeaders {
  const http = attributes?.request?.http;
  const found = new Map<string, string[]>();
  const add = (key: string, value: string) => {
    const name = READ.has(key) ? key : key.toLowerCase();
    if (!READ.has(name) || (value === '' && name !== 'authorization')) return;
    const values = found.get(name);
    if (values) values.push(value);
    else found.set(name, [value]);
  };
  for (const [key, value] of Object.entries(http?.headers ?? {})) add(key, value);
  // Envoy uses the second form with `encode_raw_headers`, and gRPC always.
  for (const { key, value, rawValue } of http?.headerMap?.headers ?? []) {
    if (value !== '') add(key, value);
    if (rawValue.length > 0) add(key, Buffer.from(rawValue).toString());
  }
  return { all: (name) => found.get(name) ?? [], first: (name) => found.get(name)?.[0] ?? '' };
}

function namedRequirements(metadata: CheckMetadata): Record<string, string> {
  return Object.fromEntries(
    metadata.map(([name, value]) => [name.slice(METADATA_PREFIX.length).replaceAll('-', '_'), value]),
  );
}
