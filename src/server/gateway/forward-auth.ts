// Forward auth over HTTP for gateways, as an endpoint. Requests that memory can decide are answered by the fast path.
import { untilAborted } from '../../async/until-aborted.ts';
import type { JudgeDeps, MemoryDeps } from '../../auth/judge-credentials.ts';
import type { JudgeSessionDeps } from '../../auth/judge-session.ts';
import type { Denials } from '../../authorization/denials.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { ERROR_REASONS } from '../../domain/error-reason.ts';
import { RETRY_SOON_MS } from '../../domain/retry-after.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, type CallRecord, openCallRecord, runCall } from '../calls/call-record.ts';
import type { ConcurrencyLimit } from '../calls/concurrency-limit.ts';
import { answerError } from '../calls/errors.ts';
import { sendHttpError } from '../calls/write-error.ts';
import type { Handler } from '../transport/handler.ts';
import type { ServerResponse } from '../transport/server-response.ts';
import type { RequestHead } from '../transport/server-stream.ts';
import { type Authorization, authorizeFromMemory, authorizeRequest } from './authorize-request.ts';
import { type ForwardAuthSource, isForwardAuth, readForwardAuth } from './forward-auth-request.ts';
import { forwardAuthResponse } from './forward-auth-response.ts';

type ForwardAuthDeps = JudgeDeps &
  MemoryDeps &
  JudgeSessionDeps &
  ForwardAuthSource & { denials: Denials; concurrencyLimit: ConcurrencyLimit };

/** A gateway's client waits for this response, for two seconds at most in all. */
const TIMEOUT_MS = 1_500;

/** An invalid configuration of the route gets 400, and an outage 503: gateways let neither pass. */
export function createForwardAuthHandler(deps: ForwardAuthDeps & CallDeps, callLog: CallLog): Handler {
  return (request, response) => {
    if (!isForwardAuth(request.url)) return false;
    const record = openCallRecord(request, deps, 'forward-auth', 'http');
    response.setHeader('x-request-id', record.requestId);
    request.onceClosed(() => callLog.write(record, response.isSent));
    // Any method is accepted: some gateways pass on the method and the body of the client.
    request.discard();
    runCall(record, () => decide(deps, request.headers, record))
      .then((authorization) => answer(authorization, response, record))
      .catch((error: unknown) => sendHttpError(response, answerError(error, record)));
    return true;
  };
}

async function decide(deps: ForwardAuthDeps, headers: RequestHead, record: CallRecord): Promise<Authorization> {
  const gatewayRequest = readForwardAuth(deps, headers);
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

function answer(authorization: Authorization, response: ServerResponse, record: CallRecord): void {
  record.code = 'ok';
  if (!authorization.allowed) {
    record.reason = authorization.reason;
    record.code = ERROR_REASONS[authorization.reason].code;
  }
  const { status, headers, body } = forwardAuthResponse(authorization);
  response.statusCode = status;
  for (const [name, value] of headers) response.setHeader(name, value);
  response.end(body);
}
