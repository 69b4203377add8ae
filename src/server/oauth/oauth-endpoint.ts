// The parts that all OAuth endpoints share: the record of the call, the form, slots, the log line and the errors of
// RFC 6749 section 5.2. This folder owns OAuth 2.0 and the metadata of the issuer over plain HTTP. It must not decide
// about tokens.
import { AuthError } from '../../domain/auth-error.ts';
import type { Call } from '../../domain/call.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, type CallRecord, openCallRecord, runCall, slotHolder } from '../calls/call-record.ts';
import type { ConcurrencyLimit } from '../calls/concurrency-limit.ts';
import { answerError } from '../calls/errors.ts';
import { type FairSlots, holdUntilRead, whileWaiting } from '../calls/fair-slots.ts';
import { sendOAuthError, stepUpHeader } from '../calls/write-error.ts';
import { sendMethodNotAllowed } from '../endpoints/get-routes.ts';
import type { AccessDeps } from '../rpc/access.ts';
import { type Handler, sendJson } from '../transport/handler.ts';
import type { ServerRequest } from '../transport/server-request.ts';
import type { ServerResponse } from '../transport/server-response.ts';
import { authenticateClient } from './authenticate-client.ts';
import { type ClientCredentials, credentialsInHeader, withForm } from './client-credentials.ts';
import { assertForm, type OAuthForm, receiveForm } from './oauth-form.ts';
import { withIssuerPath } from './oauth-paths.ts';
import { OAuthRejection, type Scheme } from './oauth-rejection.ts';

export type OAuthEndpointDeps = AccessDeps &
  CallDeps & { concurrencyLimit: ConcurrencyLimit; waiting: FairSlots; unread: FairSlots; callLog: CallLog };

export type OAuthRequest = { form: OAuthForm; credentials: ClientCredentials; record: CallRecord; call: Call };

export type OAuthEndpoint = {
  path: string;
  issuer: string;
  /** The schemes of `authorization` that it accepts. */
  schemes: Scheme[];
  /** @returns the body @throws OAuthRejection or AuthError */
  answer: (request: OAuthRequest) => Promise<object>;
};

const TIMEOUT_MS = 5_000;

export function createOAuthEndpoint(deps: OAuthEndpointDeps, endpoint: OAuthEndpoint): Handler {
  const method = endpoint.path.slice(1);
  const paths = withIssuerPath(endpoint.path, endpoint.issuer);
  return (request, response) => {
    if (!paths.includes(request.path)) return false;
    if (request.method !== 'POST') {
      sendMethodNotAllowed(response, 'POST');
      return true;
    }
    const record = openCallRecord(request, deps, method, 'http');
    response.setHeader('x-request-id', record.requestId);
    response.setHeader('pragma', 'no-cache');
    request.onceClosed(() => deps.callLog.write(record, response.isSent));
    runCall(record, () => answer(deps, endpoint, { request, response, record }))
      .catch((error: unknown) => reject(error, response, record))
      .finally(() => holdUntilRead(deps.unread, slotHolder(record), request));
    return true;
  };
}

type Exchange = { request: ServerRequest; response: ServerResponse; record: CallRecord };

async function answer(deps: OAuthEndpointDeps, endpoint: OAuthEndpoint, exchange: Exchange): Promise<void> {
  const { request, response, record } = exchange;
  const call = callOf(record, request.signal);
  const header = credentialsInHeader(record.authorization, endpoint.schemes);
  assertForm(request);
  const holder = slotHolder(record);
  // The server rejects a wrong secret in the header before it reads the body.
  if (header) await whileWaiting(deps.waiting, holder, authenticateClient(deps, record, header, call.signal));
  const form = await receiveForm(request, { waiting: deps.waiting, holder, signal: call.signal });
  const credentials = withForm(header, form);
  const release = deps.concurrencyLimit.acquire(record.address);
  const body = await endpoint.answer({ form, credentials, record, call }).finally(release);
  record.code = 'ok';
  sendJson(response, 200, body);
}

function callOf({ address, userAgent, requestId }: CallRecord, disconnected: AbortSignal): Call {
  const signal = AbortSignal.any([disconnected, AbortSignal.timeout(TIMEOUT_MS)]);
  return { origin: { address, userAgent, requestId }, signal };
}

function reject(error: unknown, response: ServerResponse, record: CallRecord): void {
  if (!(error instanceof OAuthRejection)) {
    const failure = answerError(error, record);
    const isUnavailable = error instanceof AuthError || record.reason === 'DEPENDENCY_UNAVAILABLE';
    sendOAuthError(response, { error: isUnavailable ? 'temporarily_unavailable' : 'server_error' }, failure);
    return;
  }
  const { error: code, challenge, required } = error;
  record.code = challenge ? 'unauthenticated' : 'invalid_argument';
  record.reason = challenge ? 'CREDENTIALS_INVALID' : 'INVALID_ARGUMENT';
  if (challenge) {
    const suffix = challenge === 'Bearer' ? ', error="invalid_token"' : '';
    response.setHeader(
      'www-authenticate',
      required ? stepUpHeader(required) : `${challenge} realm="latchkey"${suffix}`,
    );
  }
  sendOAuthError(response, { error: code, description: error.message });
}
