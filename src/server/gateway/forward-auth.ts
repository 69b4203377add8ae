// Forward auth over HTTP, as nginx (auth_request), Caddy (forward_auth), Traefik (forwardAuth) and HAProxy's script ask for it: a
// request with the client's headers, and the route's requirement in the query of the gateway's own configuration.
import { codeToHttpStatus } from '@connectrpc/connect/protocol-connect';
import type { Deps } from '../../deps.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { soleBearerToken } from '../../domain/bearer-token.ts';
import { ERROR_REASONS } from '../../domain/error-reason.ts';
import { invalid, parseFields } from '../../domain/parse-fields.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, type CallRecord, openCallRecord } from '../calls/call-record.ts';
import { answerError } from '../calls/errors.ts';
import { type Handler, type NodeRequest, type NodeResponse, sendJson } from '../transport/handler.ts';
import { type Admission, admit, parseRequirement } from './authorize-request.ts';
import { challenge, identityHeaders, refusalStatus } from './identity-headers.ts';

type ForwardAuthDeps = Pick<Deps, 'verifier' | 'denials'>;

const PATH = '/forward-auth';
/** It comes from the gateway's own configuration. */
const MAX_QUERY_CHARACTERS = 1_024;
/** How long a question may take; a gateway's client waits for it. */
const TIMEOUT_MS = 5_000;

/** Answers 200, 401 and 403; 400 for a route that is configured badly, and 503 when nobody can tell: gateways let neither pass. */
export function createForwardAuthHandler(deps: ForwardAuthDeps & CallDeps, callLog: CallLog): Handler {
  return (request, response) => {
    const url = request.url ?? '';
    if (url.split('?', 1)[0] !== PATH) return false;
    const query = url.slice(PATH.length + 1);
    const record = openCallRecord(request, deps, 'forward-auth', 'http');
    response.setHeader('x-request-id', record.requestId);
    response.once('close', () => callLog.write(record, response.writableFinished));
    // Whatever the client's method was: some gateways pass it on. A body is nobody's concern here.
    request.resume();
    decide(deps, query, request, record)
      .then((admission) => answer(admission, response, record))
      .catch((error: unknown) => fail(error, response, record));
    return true;
  };
}

async function decide(
  deps: ForwardAuthDeps,
  query: string,
  request: NodeRequest,
  { address, userAgent, requestId }: CallRecord,
): Promise<Admission> {
  parseFields({
    query: () => query.length > MAX_QUERY_CHARACTERS && invalid(`must be at most ${MAX_QUERY_CHARACTERS} characters`),
  });
  const requirement = parseRequirement(onlyOnce(new URLSearchParams(query)));
  // Node's own headers have the first of several.
  const { rawHeaders } = request;
  const isAuthorization = (_: string, n: number) => n % 2 === 1 && rawHeaders[n - 1]?.toLowerCase() === 'authorization';
  const token = soleBearerToken(rawHeaders.filter(isAuthorization));
  const call = { origin: { address, userAgent, requestId }, signal: AbortSignal.timeout(TIMEOUT_MS) };
  return admit(deps, requirement, token, call);
}

/** A name that comes twice is as good as one that is not known. */
function onlyOnce(query: URLSearchParams): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, value] of query) values[name in values ? `${name} (twice)` : name] = value;
  return values;
}

function answer(admission: Admission, response: NodeResponse, record: CallRecord): void {
  record.code = 'ok';
  response.setHeader('cache-control', 'no-store');
  if (admission.admitted) {
    for (const [name, value] of Object.entries(identityHeaders(admission.principal))) response.setHeader(name, value);
    response.statusCode = 200;
    response.setHeader('content-length', 0);
    response.end();
    return;
  }
  const { reason } = admission;
  record.reason = reason;
  record.code = ERROR_REASONS[reason].code;
  response.setHeader('www-authenticate', challenge(reason));
  sendJson(response, refusalStatus(reason), { reason, message: ERROR_REASONS[reason].message });
}

function fail(error: unknown, response: NodeResponse, record: CallRecord): void {
  const failure = answerError(error, record);
  const retryAfter = failure.metadata.get('retry-after');
  if (retryAfter) response.setHeader('retry-after', retryAfter);
  const violations = error instanceof AuthError ? error.violations : [];
  sendJson(response, codeToHttpStatus(failure.code), {
    reason: record.reason,
    message: failure.rawMessage,
    violations,
  });
}
