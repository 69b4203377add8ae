// Forward auth over HTTP for nginx (auth_request), Caddy (forward_auth), Traefik (forwardAuth) and HAProxy's script.
// The gateway's configuration puts the requirement of the route into the query.
import type { Deps } from '../../deps.ts';
import { soleBearerToken } from '../../domain/bearer-token.ts';
import { ERROR_REASONS } from '../../domain/error-reason.ts';
import { invalid, parseFields } from '../../domain/parse-fields.ts';
import { combineRequirements, parseRequirement } from '../../policy/route-requirement.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, type CallRecord, openCallRecord } from '../calls/call-record.ts';
import { answerError } from '../calls/errors.ts';
import { sendHttpError } from '../calls/write-error.ts';
import { type Handler, type NodeRequest, type NodeResponse, sendJson } from '../transport/handler.ts';
import { type Authorization, authorizeRequest } from './authorize-request.ts';
import { identityHeaders, rejection } from './identity-headers.ts';

type ForwardAuthDeps = Pick<Deps, 'verifier' | 'denials'>;

const PATH = '/forward-auth';
const MAX_QUERY_CHARACTERS = 1_024;
/** A gateway's client waits for this response. */
const TIMEOUT_MS = 5_000;

/** An invalid configuration of the route gets 400, and an outage 503: gateways let neither pass. */
export function createForwardAuthHandler(deps: ForwardAuthDeps & CallDeps, callLog: CallLog): Handler {
  return (request, response) => {
    const url = request.url ?? '';
    if (url.split('?', 1)[0] !== PATH) return false;
    const query = url.slice(PATH.length + 1);
    const record = openCallRecord(request, deps, 'forward-auth', 'http');
    response.setHeader('x-request-id', record.requestId);
    response.once('close', () => callLog.write(record, response.writableFinished));
    // Any method is accepted: some gateways pass on the method and the body of the client.
    request.resume();
    decide(deps, query, request, record)
      .then((authorization) => answer(authorization, response, record))
      .catch((error: unknown) => sendHttpError(response, answerError(error, record)));
    return true;
  };
}

async function decide(
  deps: ForwardAuthDeps,
  query: string,
  request: NodeRequest,
  { address, userAgent, requestId }: CallRecord,
): Promise<Authorization> {
  parseFields({
    query: () => query.length > MAX_QUERY_CHARACTERS && invalid(`must be at most ${MAX_QUERY_CHARACTERS} characters`),
  });
  const requirement = combineRequirements([parseRequirement(onlyOnce(new URLSearchParams(query)))]);
  // Node's `headers` has only the first of several.
  const { rawHeaders } = request;
  const isAuthorization = (_: string, n: number) => n % 2 === 1 && rawHeaders[n - 1]?.toLowerCase() === 'authorization';
  const token = soleBearerToken(rawHeaders.filter(isAuthorization));
  const call = { origin: { address, userAgent, requestId }, signal: AbortSignal.timeout(TIMEOUT_MS) };
  return authorizeRequest(deps, requirement, token, call);
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
    response.statusCode = 200;
    response.setHeader('content-length', 0);
    response.end();
    return;
  }
  const { reason } = authorization;
  record.reason = reason;
  record.code = ERROR_REASONS[reason].code;
  const { status, challenge, body } = rejection(reason);
  response.setHeader('www-authenticate', challenge);
  sendJson(response, status, body);
}
