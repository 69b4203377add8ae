// Reads a check of Envoy: the client's request, its origin, and the requirements of its route.
import { soleBearerToken } from '../../domain/bearer-token.ts';
import type { BrowserSessions } from '../../domain/browser-sessions.ts';
import type { RoutePolicy } from '../../policy/route-policy.ts';
import { combineRequirements, parseRequirement } from '../../policy/route-requirement.ts';
import type { GatewayRequest } from './authorize-request.ts';
import { otherCookies, readBrowserRequest } from './browser-request.ts';
import type { CheckFacts } from './check-facts.ts';
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
/** @throws AuthError INVALID_ARGUMENT for an invalid requirement */
export function readRequest(
  { method, path, host: named, contextExtensions, headers }: CheckFacts,
  { metadata, policy, browserSessions }: CheckSource,
): GatewayRequest {
  const sources = [parseRequirement(contextExtensions), parseRequirement(namedRequirements(metadata), METADATA_PREFIX)];
  const host = named || headers.first(':authority') || headers.first('host');
  const original = { method, host, target: path };
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

export function readClient({ path, streamId, peer, headers }: CheckFacts): CheckedClient {
  return {
    protocol: clientProtocol(headers.first, { path, streamId }),
    requestId: headers.first('x-request-id'),
    userAgent: headers.first('user-agent'),
    forwardedFor: [...headers.all('x-forwarded-for'), peer].filter((part) => part !== '').join(','),
  };
}

function namedRequirements(metadata: CheckMetadata): Record<string, string> {
  return Object.fromEntries(
    metadata.map(([name, value]) => [name.slice(METADATA_PREFIX.length).replaceAll('-', '_'), value]),
  );
}
