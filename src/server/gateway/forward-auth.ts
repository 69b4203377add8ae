// Forward auth over HTTP, in two forms. `/forward-auth?role=admin` is for nginx (auth_request), Caddy (forward_auth),
// Traefik (forwardAuth) and HAProxy's script: the gateway's configuration puts the requirement of the route into the
// query. `/forward-auth/orders/5` is for Envoy (http_service) and the Gateway API: the path of the client's request
// follows the prefix, and the policy file has the requirements.
import { untilAborted } from '../../async/until-aborted.ts';
import type { JudgeDeps, MemoryDeps } from '../../auth/judge-credentials.ts';
import type { JudgeSessionDeps } from '../../auth/judge-session.ts';
import type { Denials } from '../../authorization/denials.ts';
import type { Deps } from '../../deps.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { soleBearerToken } from '../../domain/bearer-token.ts';
import { ERROR_REASONS } from '../../domain/error-reason.ts';
import { invalid, parseFields } from '../../domain/parse-fields.ts';
import { RETRY_SOON_MS } from '../../domain/retry-after.ts';
import { combineRequirements, parseRequirement, type StatedRequirement } from '../../policy/route-requirement.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, type CallRecord, openCallRecord, runCall } from '../calls/call-record.ts';
import type { ConcurrencyLimit } from '../calls/concurrency-limit.ts';
import { answerError } from '../calls/errors.ts';
import { sendHttpError } from '../calls/write-error.ts';
import { type Handler, type NodeRequest, type NodeResponse, sendJson } from '../transport/handler.ts';
import { type Authorization, authorizeFromMemory, authorizeRequest, type GatewayRequest } from './authorize-request.ts';
import { otherCookies, readBrowserRequest } from './browser-request.ts';
import type { CurrentPolicy } from './check-request.ts';
import { identityHeaders, rejection } from './identity-headers.ts';
import { type OriginalRequest, originalRequest } from './original-request.ts';
import { isPreflight } from './preflight.ts';

type ForwardAuthDeps = JudgeDeps &
  MemoryDeps &
  JudgeSessionDeps &
  Pick<Deps, 'browserSessions'> & { denials: Denials; policy: CurrentPolicy; concurrencyLimit: ConcurrencyLimit };

const PATH = '/forward-auth';
const MAX_QUERY_CHARACTERS = 1_024;
/** A gateway's client waits for this response, for two seconds at most in all. */
const TIMEOUT_MS = 1_500;

/** An invalid configuration of the route gets 400, and an outage 503: gateways let neither pass. */
export function createForwardAuthHandler(deps: ForwardAuthDeps & CallDeps, callLog: CallLog): Handler {
  return (request, response) => {
    const url = request.url ?? '';
    if (!url.startsWith(PATH) || !['', '?', '/'].includes(url.charAt(PATH.length))) return false;
    const record = openCallRecord(request, deps, 'forward-auth', 'http');
    response.setHeader('x-request-id', record.requestId);
    response.once('close', () => callLog.write(record, response.writableFinished));
    // Any method is accepted: some gateways pass on the method and the body of the client.
    request.resume();
    runCall(record, () => decide(deps, url.slice(PATH.length), request, record))
      .then((authorization) => answer(authorization, response, record))
      .catch((error: unknown) => sendHttpError(response, answerError(error, record)));
    return true;
  };
}

async function decide(
  deps: ForwardAuthDeps,
  suffix: string,
  request: NodeRequest,
  record: CallRecord,
): Promise<Authorization> {
  const gatewayRequest = suffix.startsWith('/')
    ? readPathForm(deps, suffix, request)
    : readQueryForm(deps, suffix.slice(1), request);
  const known = authorizeFromMemory(deps, gatewayRequest);
  if (known) return known;
  const { address, userAgent, requestId } = record;
  const call = { origin: { address, userAgent, requestId }, signal: AbortSignal.timeout(TIMEOUT_MS) };
  const release = deps.concurrencyLimit.acquire(address);
  try {
    return await untilAborted(call.signal, () => authorizeRequest(deps, gatewayRequest, call));
  } catch (error) {
    // A dependency is too slow. Gateways pass 504 on as a fault of the service behind them.
    if (!call.signal.aborted) throw error;
    throw new AuthError('DEPENDENCY_UNAVAILABLE', { retryAfterMs: RETRY_SOON_MS });
  } finally {
    release();
  }
}

/** Everything after the prefix belongs to the client, so it states no requirement. */
function readPathForm(deps: ForwardAuthDeps, target: string, request: NodeRequest): GatewayRequest {
  const { policy } = deps;
  const { headers, method = '' } = request;
  const host = String(headers[':authority'] ?? headers.host ?? '');
  return gatewayRequest(deps, request, policy ? [policy().requirementFor(host, target)] : [], { method, host, target });
}

function readQueryForm(deps: ForwardAuthDeps, query: string, request: NodeRequest): GatewayRequest {
  parseFields({
    query: () => query.length > MAX_QUERY_CHARACTERS && invalid(`must be at most ${MAX_QUERY_CHARACTERS} characters`),
  });
  const stated = parseRequirement(onlyOnce(new URLSearchParams(query)));
  const { policy } = deps;
  const needsOriginal = policy || stated.preflight === 'pass' || stated.session === 'cookie';
  const original = needsOriginal ? originalRequest(request.rawHeaders) : null;
  return gatewayRequest(deps, request, [stated, ...fromPolicy(policy, original)], original);
}

function fromPolicy(policy: CurrentPolicy, original: OriginalRequest | null): StatedRequirement[] {
  return policy && original ? [policy().requirementFor(original.host, original.target)] : [];
}

function gatewayRequest(
  { browserSessions }: ForwardAuthDeps,
  { headers, rawHeaders }: NodeRequest,
  stated: StatedRequirement[],
  original: OriginalRequest | null,
): GatewayRequest {
  const header = (name: string) => String(headers[name] ?? '');
  const requirement = combineRequirements(stated);
  // Node's `headers` has only the first of several.
  const isAuthorization = (_: string, n: number) => n % 2 === 1 && rawHeaders[n - 1]?.toLowerCase() === 'authorization';
  return {
    requirement,
    token: soleBearerToken(rawHeaders.filter(isAuthorization)),
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

function answer(authorization: Authorization, response: NodeResponse, record: CallRecord): void {
  record.code = 'ok';
  response.setHeader('cache-control', 'no-store');
  if (authorization.allowed) {
    const headers = identityHeaders(authorization.principal);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    // Gateways copy it over the Cookie header of the request.
    if (authorization.cookies !== undefined) response.setHeader('cookie', authorization.cookies);
    response.statusCode = 200;
    response.setHeader('content-length', 0);
    response.end();
    return;
  }
  const { reason, violations, redirect } = authorization;
  record.reason = reason;
  record.code = ERROR_REASONS[reason].code;
  const { status, challenge, body } = rejection(reason, violations);
  response.setHeader('www-authenticate', challenge);
  if (redirect) response.setHeader(redirect.byHeader ? 'x-auth-redirect' : 'location', redirect.url);
  sendJson(response, redirect?.byHeader === false ? 302 : status, body);
}
