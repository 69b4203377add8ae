// OAuth 2.0 for services that expect it: the client_credentials grant (RFC 6749, section 4.4), and the metadata by which clients
// find it (RFC 8414). The client is a service account, its secret an API key.
import { issueServiceToken, type ServiceToken } from '../../auth/issue-service-token.ts';
import type { Deps } from '../../deps.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { Call } from '../../domain/call.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallDeps, type CallRecord, holderOf, openCallRecord } from '../calls/call-record.ts';
import type { ConcurrencyLimit } from '../calls/concurrency-limit.ts';
import { answerError } from '../calls/errors.ts';
import { type FairSlots, holdUntilRead } from '../calls/fair-slots.ts';
import { receiveBody } from '../calls/receive-body.ts';
import { type Handler, type NodeRequest, type NodeResponse, sendJson } from '../transport/handler.ts';

type TokenDeps = Parameters<typeof issueServiceToken>[0] & Pick<Deps, 'tokenSettings'>;
type SlotDeps = { concurrencyLimit: ConcurrencyLimit; waiting: FairSlots; unread: FairSlots };

/** `error` of RFC 6749, section 5.2, and RFC 8707, section 2. */
type OAuthError = 'invalid_request' | 'invalid_client' | 'unsupported_grant_type' | 'invalid_target';

class TokenRefusal extends Error {
  readonly error: OAuthError;
  /** Whether the client has tried to authenticate by a header. */
  readonly byHeader: boolean;

  constructor(error: OAuthError, description: string, byHeader = false) {
    super(description);
    this.error = error;
    this.byHeader = byHeader;
  }
}

const TOKEN_PATH = '/oauth/token';
/** As the log and the metrics have it. */
const METHOD = 'oauth/token';
const METADATA_PATH = '/.well-known/oauth-authorization-server';
const MAX_BODY_BYTES = 8 * 1024;
const MAX_FORM_FIELDS = 32;
const TIMEOUT_MS = 5_000;

export function createOAuthTokenHandler(deps: TokenDeps & CallDeps & SlotDeps, callLog: CallLog): Handler {
  const { issuer } = deps.tokenSettings;
  const metadata = {
    issuer,
    token_endpoint: `${issuer}${TOKEN_PATH}`,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    grant_types_supported: ['client_credentials'],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
  };

  return (request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (path === METADATA_PATH && (request.method === 'GET' || request.method === 'HEAD')) {
      sendJson(response, 200, metadata, 'public, max-age=300');
      return true;
    }
    if (path !== TOKEN_PATH || request.method !== 'POST') return false;
    const record = openCallRecord(request, deps, METHOD, 'http');
    response.setHeader('x-request-id', record.requestId);
    response.setHeader('pragma', 'no-cache');
    response.once('close', () => callLog.write(record, response.writableFinished));
    answer(deps, request, response, record)
      .catch((error: unknown) => refuse(error, response, record))
      .finally(() => holdUntilRead(deps.unread, holderOf(record), response));
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
  if (grantType === '') throw new TokenRefusal('invalid_request', 'grant_type is missing');
  if (grantType !== 'client_credentials') {
    throw new TokenRefusal('unsupported_grant_type', 'there is client_credentials and no other');
  }
  const { id, secret, byHeader } = credentialsOf(authorization, form);
  const input = { apiKey: secret, client: id, audiences: audiencesIn(form) };
  return issueServiceToken(deps, input, call).catch((error: unknown) => {
    throw (error instanceof AuthError && refusalFor(error.reason, byHeader)) || error;
  });
}

function refusalFor(reason: Reason, byHeader: boolean): TokenRefusal | null {
  switch (reason) {
    case 'PERMISSION_DENIED':
      return new TokenRefusal('invalid_client', 'this is no API key of this client', byHeader);
    case 'INVALID_ARGUMENT':
      return new TokenRefusal('invalid_target', 'resource and audience must be audiences of this deployment');
    default:
      return null;
  }
}

/**
 * For which services the token is wanted: `resource` of RFC 8707, and `audience`, which many clients send in its place. Either may
 * come several times. A value is an audience exactly, also one that is a name and not a URI. Without a value, a parameter counts
 * as omitted (RFC 6749, section 3.2).
 */
function audiencesIn(form: URLSearchParams): string[] {
  return [...form.getAll('resource'), ...form.getAll('audience')].filter((value) => value !== '');
}

/** By a header or in the form, and not both (section 2.3). */
function credentialsOf(
  authorization: string | null,
  form: URLSearchParams,
): { id: string; secret: string; byHeader: boolean } {
  const inForm = { id: only(form, 'client_id'), secret: only(form, 'client_secret'), byHeader: false };
  if (authorization === '') return inForm;
  if (authorization === null) throw new TokenRefusal('invalid_client', 'there are several authorization headers', true);
  const [, basic] = /^Basic ([A-Za-z0-9+/]+=*)$/i.exec(authorization) ?? [];
  if (basic === undefined) throw new TokenRefusal('invalid_client', 'authorization must be Basic', true);
  if (inForm.secret !== '') throw new TokenRefusal('invalid_request', 'the secret is there twice');
  const [, id = '', secret = ''] = /^([^:]*):(.*)$/s.exec(Buffer.from(basic, 'base64').toString()) ?? [];
  if (inForm.id !== '' && inForm.id !== decoded(id)) throw new TokenRefusal('invalid_request', 'there are two clients');
  return { id: decoded(id), secret: decoded(secret), byHeader: true };
}

/** As forms encode it. */
function decoded(text: string): string {
  return new URLSearchParams(`x=${text}`).get('x') ?? '';
}

function only(form: URLSearchParams, name: string): string {
  const values = form.getAll(name);
  if (values.length > 1) throw new TokenRefusal('invalid_request', `${name} is there twice`);
  return values[0] ?? '';
}

function callOf({ address, userAgent, requestId }: CallRecord, response: NodeResponse): Call {
  const left = new AbortController();
  response.once('close', () => left.abort());
  const signal = AbortSignal.any([left.signal, AbortSignal.timeout(TIMEOUT_MS)]);
  return { origin: { address, userAgent, requestId }, signal };
}

async function receiveForm(
  { waiting }: SlotDeps,
  request: NodeRequest,
  record: CallRecord,
  signal: AbortSignal,
): Promise<Buffer> {
  try {
    return await receiveBody(request, { waiting, holder: holderOf(record), signal, maxBytes: MAX_BODY_BYTES });
  } catch (error) {
    const isTooLarge = error instanceof AuthError && error.reason === 'MESSAGE_TOO_LARGE';
    throw isTooLarge ? new TokenRefusal('invalid_request', 'the form is too large') : error;
  }
}

function parseForm(request: NodeRequest, body: Buffer): URLSearchParams {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';', 1);
  if (type.trim().toLowerCase() !== 'application/x-www-form-urlencoded') {
    throw new TokenRefusal('invalid_request', 'the content-type must be application/x-www-form-urlencoded');
  }
  const text = body.toString();
  if (text.split('&', MAX_FORM_FIELDS + 1).length > MAX_FORM_FIELDS) {
    throw new TokenRefusal('invalid_request', 'the form has too many fields');
  }
  return new URLSearchParams(text);
}

function refuse(error: unknown, response: NodeResponse, record: CallRecord): void {
  if (!(error instanceof TokenRefusal)) {
    const failure = answerError(error, record);
    const retryAfter = failure.metadata.get('retry-after');
    if (retryAfter) response.setHeader('retry-after', retryAfter);
    const isAway = error instanceof AuthError || record.reason === 'DEPENDENCY_UNAVAILABLE';
    sendJson(response, isAway ? 503 : 500, { error: isAway ? 'temporarily_unavailable' : 'server_error' });
    return;
  }
  record.code = error.error === 'invalid_client' ? 'unauthenticated' : 'invalid_argument';
  record.reason = error.error === 'invalid_client' ? 'CREDENTIALS_INVALID' : 'INVALID_ARGUMENT';
  if (error.byHeader) response.setHeader('www-authenticate', 'Basic realm="latchkey"');
  const status = error.error === 'invalid_client' ? 401 : 400;
  sendJson(response, status, { error: error.error, error_description: error.message });
}
