// OAuth 2.0 for services that use it: the client_credentials grant (RFC 6749 section 4.4) and its metadata (RFC 8414).
// The client is a service account, and its secret is an API key.
import { issueServiceToken, type ServiceToken } from '../../auth/issue-service-token.ts';
import type { Deps } from '../../deps.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { Call } from '../../domain/call.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, type CallRecord, openCallRecord, slotHolder } from '../calls/call-record.ts';
import type { ConcurrencyLimit } from '../calls/concurrency-limit.ts';
import { answerError } from '../calls/errors.ts';
import { type FairSlots, holdUntilRead } from '../calls/fair-slots.ts';
import { receiveBody } from '../calls/receive-body.ts';
import { sendOAuthError } from '../calls/write-error.ts';
import { type Handler, type NodeRequest, type NodeResponse, sendJson } from '../transport/handler.ts';
import { TOKEN_PATH, withIssuerPath } from './oauth-paths.ts';

type TokenDeps = Parameters<typeof issueServiceToken>[0] & Pick<Deps, 'tokenSettings'>;
type SlotDeps = { concurrencyLimit: ConcurrencyLimit; waiting: FairSlots; unread: FairSlots };

type TokenError = 'invalid_request' | 'invalid_client' | 'unsupported_grant_type' | 'invalid_target';

class TokenRejection extends Error {
  readonly error: TokenError;
  readonly byHeader: boolean;

  constructor(error: TokenError, description: string, byHeader = false) {
    super(description);
    this.error = error;
    this.byHeader = byHeader;
  }
}

const METHOD = 'oauth/token';
const MAX_BODY_BYTES = 8 * 1024;
const MAX_FORM_FIELDS = 32;
const TIMEOUT_MS = 5_000;

export function createOAuthTokenHandler(deps: TokenDeps & CallDeps & SlotDeps, callLog: CallLog): Handler {
  const paths = withIssuerPath(TOKEN_PATH, deps.tokenSettings.issuer);
  return (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? '';
    if (!paths.includes(path) || request.method !== 'POST') return false;
    const record = openCallRecord(request, deps, METHOD, 'http');
    response.setHeader('x-request-id', record.requestId);
    response.setHeader('pragma', 'no-cache');
    response.once('close', () => callLog.write(record, response.writableFinished));
    answer(deps, request, response, record)
      .catch((error: unknown) => reject(error, response, record))
      .finally(() => holdUntilRead(deps.unread, slotHolder(record), response));
    return true;
  };
}

async function answer(
  deps: TokenDeps & SlotDeps,
  request: NodeRequest,
  response: NodeResponse,
  record: CallRecord,
): Promise<void> {
  const call = callOf(record, response);
  const body = await receiveForm(deps, request, record, call.signal);
  const form = parseForm(request, body);
  const release = deps.concurrencyLimit.acquire(record.address);
  const { accessToken, expiresAt, principal } = await issue(deps, form, record.authorization, call).finally(release);
  record.code = 'ok';
  record.principal = principal;
  const expiresIn = Math.floor((expiresAt.getTime() - deps.now().getTime()) / 1000);
  sendJson(response, 200, { access_token: accessToken, token_type: 'Bearer', expires_in: expiresIn });
}

async function issue(
  deps: TokenDeps,
  form: URLSearchParams,
  authorization: string | null,
  call: Call,
): Promise<ServiceToken> {
  const grantType = only(form, 'grant_type');
  if (grantType === '') throw new TokenRejection('invalid_request', 'grant_type is missing');
  if (grantType !== 'client_credentials') {
    throw new TokenRejection('unsupported_grant_type', 'grant_type must be client_credentials');
  }
  const { id, secret, byHeader } = credentialsOf(authorization, form);
  const input = { apiKey: secret, client: id, audiences: audiencesIn(form) };
  return issueServiceToken(deps, input, call).catch((error: unknown) => {
    throw (error instanceof AuthError && rejectionFor(error.reason, byHeader)) || error;
  });
}

function rejectionFor(reason: Reason, byHeader: boolean): TokenRejection | null {
  switch (reason) {
    case 'PERMISSION_DENIED':
      return new TokenRejection('invalid_client', 'the client secret must be a valid API key of this client', byHeader);
    case 'INVALID_ARGUMENT':
      return new TokenRejection('invalid_target', 'resource and audience must be audiences of this deployment');
    default:
      return null;
  }
}

/**
 * Many clients send `audience` in place of `resource` (RFC 8707). A value can be a name instead of a URI. A parameter
 * without a value counts as omitted (RFC 6749 section 3.2).
 */
function audiencesIn(form: URLSearchParams): string[] {
  return [...form.getAll('resource'), ...form.getAll('audience')].filter((value) => value !== '');
}

/** RFC 6749 section 2.3 forbids both the header and the form. */
function credentialsOf(
  authorization: string | null,
  form: URLSearchParams,
): { id: string; secret: string; byHeader: boolean } {
  const inForm = { id: only(form, 'client_id'), secret: only(form, 'client_secret'), byHeader: false };
  if (authorization === '') return inForm;
  if (authorization === null)
    throw new TokenRejection('invalid_client', 'the request has several authorization headers', true);
  const [, basic] = /^Basic ([A-Za-z0-9+/]+=*)$/i.exec(authorization) ?? [];
  if (basic === undefined) throw new TokenRejection('invalid_client', 'the authorization scheme must be Basic', true);
  if (inForm.secret !== '')
    throw new TokenRejection('invalid_request', 'the client secret is in the header and in the form');
  const [, id = '', secret = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(basic, 'base64').toString()) ?? [];
  if (inForm.id !== '' && inForm.id !== formDecoded(id))
    throw new TokenRejection('invalid_request', 'the header and the form name different clients');
  return { id: formDecoded(id), secret: formDecoded(secret), byHeader: true };
}

function formDecoded(text: string): string {
  return new URLSearchParams(`x=${text}`).get('x') ?? '';
}

function only(form: URLSearchParams, name: string): string {
  const values = form.getAll(name);
  if (values.length > 1) throw new TokenRejection('invalid_request', `${name} is repeated`);
  return values[0] ?? '';
}

function callOf({ address, userAgent, requestId }: CallRecord, response: NodeResponse): Call {
  const disconnected = new AbortController();
  response.once('close', () => disconnected.abort());
  const signal = AbortSignal.any([disconnected.signal, AbortSignal.timeout(TIMEOUT_MS)]);
  return { origin: { address, userAgent, requestId }, signal };
}

async function receiveForm(
  { waiting }: SlotDeps,
  request: NodeRequest,
  record: CallRecord,
  signal: AbortSignal,
): Promise<Buffer> {
  try {
    return await receiveBody(request, { waiting, holder: slotHolder(record), signal, maxBytes: MAX_BODY_BYTES });
  } catch (error) {
    const isTooLarge = error instanceof AuthError && error.reason === 'MESSAGE_TOO_LARGE';
    throw isTooLarge ? new TokenRejection('invalid_request', 'the form is too large') : error;
  }
}

function parseForm(request: NodeRequest, body: Buffer): URLSearchParams {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  if (type.trim().toLowerCase() !== 'application/x-www-form-urlencoded') {
    throw new TokenRejection('invalid_request', 'the content-type must be application/x-www-form-urlencoded');
  }
  const text = body.toString();
  if (text.split('&', MAX_FORM_FIELDS + 1).length > MAX_FORM_FIELDS) {
    throw new TokenRejection('invalid_request', 'the form has too many fields');
  }
  return new URLSearchParams(text);
}

function reject(error: unknown, response: NodeResponse, record: CallRecord): void {
  if (!(error instanceof TokenRejection)) {
    const failure = answerError(error, record);
    const isUnavailable = error instanceof AuthError || record.reason === 'DEPENDENCY_UNAVAILABLE';
    sendOAuthError(response, { error: isUnavailable ? 'temporarily_unavailable' : 'server_error' }, failure);
    return;
  }
  record.code = error.error === 'invalid_client' ? 'unauthenticated' : 'invalid_argument';
  record.reason = error.error === 'invalid_client' ? 'CREDENTIALS_INVALID' : 'INVALID_ARGUMENT';
  if (error.byHeader) response.setHeader('www-authenticate', 'Basic realm="latchkey"');
  sendOAuthError(response, { error: error.error, description: error.message });
}
