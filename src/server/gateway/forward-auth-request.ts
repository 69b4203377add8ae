// Reads a request of forward auth, in its two forms. `/forward-auth?role=admin` is for nginx (auth_request), Caddy
// (forward_auth), Traefik (forwardAuth) and HAProxy's script: the gateway's configuration puts the requirement of the
// route into the query. `/forward-auth/orders/5` is for Envoy (http_service) and the Gateway API: the path of the
// client's request follows the prefix, and the policy file has the requirements.
import type { Deps } from '../../deps.ts';
import { soleBearerToken } from '../../domain/bearer-token.ts';
import { invalid, parseFields } from '../../domain/parse-fields.ts';
import { combineRequirements, parseRequirement, type StatedRequirement } from '../../policy/route-requirement.ts';
import type { RequestHead } from '../transport/server-stream.ts';
import type { GatewayRequest } from './authorize-request.ts';
import { otherCookies, readBrowserRequest } from './browser-request.ts';
import type { CurrentPolicy } from './check-request.ts';
import { type OriginalRequest, originalRequest } from './original-request.ts';
import { isPreflight } from './preflight.ts';

export type ForwardAuthSource = Pick<Deps, 'browserSessions'> & { policy: CurrentPolicy };

const PATH = '/forward-auth';
const MAX_QUERY_CHARACTERS = 1_024;

/** @param url path and query */
export function isForwardAuth(url: string): boolean {
  return url.startsWith(PATH) && ['', '?', '/'].includes(url.charAt(PATH.length));
}

/** @throws AuthError INVALID_ARGUMENT for an invalid configuration of the route */
export function readForwardAuth(source: ForwardAuthSource, headers: RequestHead): GatewayRequest {
  const suffix = headers.path.slice(PATH.length);
  return suffix.startsWith('/')
    ? readPathForm(source, suffix, headers)
    : readQueryForm(source, suffix.slice(1), headers);
}

/** Everything after the prefix belongs to the client, so it states no requirement. */
function readPathForm(source: ForwardAuthSource, target: string, headers: RequestHead): GatewayRequest {
  const { policy } = source;
  const { method, host } = headers;
  return gatewayRequest(source, headers, policy ? [policy().requirementFor(host, target)] : [], {
    method,
    host,
    target,
  });
}

function readQueryForm(source: ForwardAuthSource, query: string, headers: RequestHead): GatewayRequest {
  parseFields({
    query: () => query.length > MAX_QUERY_CHARACTERS && invalid(`must be at most ${MAX_QUERY_CHARACTERS} characters`),
  });
  const stated = parseRequirement(onlyOnce(new URLSearchParams(query)));
  const { policy } = source;
  const needsOriginal = policy || stated.preflight === 'pass' || stated.session === 'cookie';
  const original = needsOriginal ? originalRequest(headers) : null;
  return gatewayRequest(source, headers, [stated, ...fromPolicy(policy, original)], original);
}

function fromPolicy(policy: CurrentPolicy, original: OriginalRequest | null): StatedRequirement[] {
  return policy && original ? [policy().requirementFor(original.host, original.target)] : [];
}

function gatewayRequest(
  { browserSessions }: ForwardAuthSource,
  headers: RequestHead,
  stated: StatedRequirement[],
  original: OriginalRequest | null,
): GatewayRequest {
  const header = (name: string) => headers.get(name);
  const requirement = combineRequirements(stated);
  return {
    requirement,
    token: soleBearerToken(headers.all('authorization')),
    isPreflight: isPreflight(original?.method ?? '', header),
    browser: readBrowserRequest(browserSessions, requirement, original, header),
    otherCookies: otherCookies(browserSessions, header),
  };
}

/** A repeated name counts as an unknown name. */
function onlyOnce(query: URLSearchParams): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, value] of query) values[name in values ? `${name} (twice)` : name] = value;
  return values;
}
