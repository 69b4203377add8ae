// Reads a request of forward auth, in its two forms. `/forward-auth?role=admin` is for nginx (auth_request), Caddy
// (forward_auth), Traefik (forwardAuth) and HAProxy's script: the gateway's configuration puts the requirement of the
// route into the query. `/forward-auth/orders/5` is for Envoy (http_service) and the Gateway API: the path of the
// client's request follows the prefix, and the policy file has the requirements.
import type { Deps } from '../../deps.ts';
import { soleBearerToken } from '../../domain/bearer-token.ts';
import { invalid, parseFields } from '../../domain/parse-fields.ts';
import { rememberRequirements } from '../../policy/known-requirements.ts';
import {
  combineRequirements,
  NO_REQUIREMENT,
  parseRequirement,
  type StatedRequirement,
} from '../../policy/route-requirement.ts';
import type { RequestHead } from '../transport/server-stream.ts';
import type { GatewayRequest } from './authorize-request.ts';
import { otherCookies, readBrowserRequest } from './browser-request.ts';
import { type CurrentPolicy, requirementIn } from './check-request.ts';
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
  const { method, host } = headers;
  return gatewayRequest(source, headers, NO_REQUIREMENT, () => ({ method, host, target }));
}

function readQueryForm(source: ForwardAuthSource, query: string, headers: RequestHead): GatewayRequest {
  return gatewayRequest(source, headers, statedBy(query), () => originalRequest(headers));
}

const statedBy = rememberRequirements((query) => {
  parseFields({
    query: () => query.length > MAX_QUERY_CHARACTERS && invalid(`must be at most ${MAX_QUERY_CHARACTERS} characters`),
  });
  return parseRequirement(valuesByName(new URLSearchParams(query)));
});

function gatewayRequest(
  { browserSessions, policy }: ForwardAuthSource,
  headers: RequestHead,
  stated: StatedRequirement,
  original: () => OriginalRequest,
): GatewayRequest {
  const header = (name: string) => headers.get(name);
  const requirement = combineRequirements(policy ? [stated, requirementIn(policy, original())] : [stated]);
  return {
    requirement,
    token: soleBearerToken(headers.all('authorization')),
    isPreflight: requirement.preflight === 'pass' && isPreflight(original(), header),
    browser: readBrowserRequest(browserSessions, requirement, original, header),
    otherCookies: otherCookies(browserSessions, header),
  };
}

function valuesByName(query: URLSearchParams): Record<string, string> {
  const repeated = [...query.keys()].filter((name) => query.getAll(name).length > 1);
  parseFields(Object.fromEntries(repeated.map((name) => [name, () => invalid('must not be repeated')])));
  return Object.fromEntries(query);
}
