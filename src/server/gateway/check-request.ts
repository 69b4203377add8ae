// Reads a check of Envoy: the client's request, its origin, and the requirements of its route.
import { soleBearerToken } from '../../domain/bearer-token.ts';
import type { BrowserSessions } from '../../domain/browser-sessions.ts';
import { rememberRequirements } from '../../policy/known-requirements.ts';
import type { RoutePolicy } from '../../policy/route-policy.ts';
import {
  combineRequirements,
  NO_REQUIREMENT,
  parseRequirement,
  type StatedRequirement,
} from '../../policy/route-requirement.ts';
import type { GatewayRequest } from './authorize-request.ts';
import { otherCookies, readBrowserRequest } from './browser-request.ts';
import type { CheckFacts } from './check-facts.ts';
import { type ClientProtocol, clientProtocol } from './denied-response.ts';
import type { OriginalRequest } from './original-request.ts';
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

/** The client behind the gateway. Most of it matters only when its request is rejected or logged. */
export class CheckedClient {
  readonly #facts: CheckFacts;

  constructor(facts: CheckFacts) {
    this.#facts = facts;
  }

  get protocol(): ClientProtocol {
    return clientProtocol((name) => this.#facts.headers.first(name), this.#facts);
  }

  get requestId(): string {
    return this.#facts.headers.first('x-request-id');
  }

  get userAgent(): string {
    return this.#facts.headers.first('user-agent');
  }

  /** In the form of x-forwarded-for: the last entry is the peer of the gateway. */
  get forwardedFor(): string {
    const { headers, peer } = this.#facts;
    return [...headers.all('x-forwarded-for'), peer].filter((part) => part !== '').join(',');
  }
}

/** The prefix of requirements in the metadata: gRFC A92 and the Gateway API send no context extensions. */
export const METADATA_PREFIX = 'x-latchkey-';

/** @throws AuthError INVALID_ARGUMENT for an invalid requirement */
export function readRequest(facts: CheckFacts, { metadata, policy, browserSessions }: CheckSource): GatewayRequest {
  const { headers } = facts;
  const original = () => originalOf(facts);
  const sources = [
    stated(inExtensions, facts.contextExtensions),
    stated(inMetadata, metadata),
    ...(policy ? [requirementIn(policy, original())] : []),
  ];
  const requirement = combineRequirements(sources);
  // HTTP/2 can carry cookies in several fields (RFC 9113 section 8.2.3).
  const header = (name: string) => (name === 'cookie' ? headers.all(name).join('; ') : headers.first(name));
  return {
    requirement,
    token: soleBearerToken(headers.all('authorization')),
    isPreflight: isPreflight(facts, header),
    browser: readBrowserRequest(browserSessions, requirement, original, header),
    otherCookies: otherCookies(browserSessions, header),
  };
}

function originalOf({ method, host, path, headers }: CheckFacts): OriginalRequest {
  return { method, host: host || headers.first(':authority') || headers.first('host'), target: path };
}

export function requirementIn(policy: () => RoutePolicy, { host, target }: OriginalRequest): StatedRequirement {
  return policy().requirementFor(host, target);
}

const inExtensions = rememberRequirements((extensions) => parseRequirement(JSON.parse(extensions)));
const inMetadata = rememberRequirements((metadata) =>
  parseRequirement(namedRequirements(JSON.parse(metadata)), METADATA_PREFIX),
);

function stated(requirementOf: (json: string) => StatedRequirement, values: object): StatedRequirement {
  return Object.keys(values).length === 0 ? NO_REQUIREMENT : requirementOf(JSON.stringify(values));
}

function namedRequirements(metadata: CheckMetadata): Record<string, string> {
  return Object.fromEntries(
    metadata.map(([name, value]) => [name.slice(METADATA_PREFIX.length).replaceAll('-', '_'), value]),
  );
}
