// Introspection on the fast path, for a service that sends its key in the header.
import {
  type IntrospectionDeps,
  type IntrospectTokenInput,
  introspectFromMemory,
} from '../../auth/introspect-token.ts';
import type { Deps } from '../../deps.ts';
import { HeaderBlock } from '../../http2/hpack/header-block.ts';
import { chooseRequestId } from '../calls/call-record.ts';
import {
  type ClientCredentials,
  credentialsInHeader,
  INTROSPECTION_SCHEMES,
  withForm,
} from '../oauth/client-credentials.ts';
import { isForm, MAX_FORM_BYTES, parseForm } from '../oauth/oauth-form.ts';
import { introspectionBody, readIntrospection } from '../oauth/oauth-introspect.ts';
import { INTROSPECTION_PATH, withIssuerPath } from '../oauth/oauth-paths.ts';
import { soleAuthorization } from '../transport/authorization.ts';
import type { FastAnswer, FastCall, FastRequest } from '../transport/fast-handler.ts';
import type { RequestHead } from '../transport/server-stream.ts';
import { type Counting, countPlain } from './count-plain.ts';
import type { FastEndpoint, PreparedRequest } from './fast-path.ts';

type FastIntrospectionDeps = Omit<IntrospectionDeps, 'apiKeys'> &
  Counting & { apiKeys: Pick<Deps['apiKeys'], 'cached'>; serviceKeys: Deps['serviceKeys']; corsOrigins: string[] };

const METHOD = INTROSPECTION_PATH.slice(1);

export function createFastIntrospection(deps: FastIntrospectionDeps): FastEndpoint {
  const paths = withIssuerPath(INTROSPECTION_PATH, deps.tokenSettings.issuer);
  return {
    serves: (path) => paths.includes(path),

    prepare(headers): PreparedRequest | null {
      const { method, contentLength } = headers;
      const hasBody = contentLength > 0 && contentLength <= MAX_FORM_BYTES;
      if (method !== 'POST' || !hasBody || !isForm(headers.get('content-type'))) return null;
      if (headers.has('origin') || headers.has('content-encoding') || headers.host === '') return null;
      const client = readClient(headers);
      return client && { begin: (request) => begin(deps, client, request) };
    },
  };
}

/** Null when the handler must explain a fault, or the form has the credentials. */
function readClient(headers: RequestHead): ClientCredentials | null {
  try {
    return credentialsInHeader(soleAuthorization(headers), INTROSPECTION_SCHEMES);
  } catch {
    return null;
  }
}

function begin(deps: FastIntrospectionDeps, client: ClientCredentials, request: FastRequest): FastCall | null {
  // Before any of the body is read.
  if (request.isComplete || !isService(deps, client)) return null;
  const { contentLength } = request.headers;
  return {
    bodyLength: () => contentLength,
    answer: (body) => answer(deps, client, { body, request }),
    rejectTruncated: () => null,
  };
}

function isService({ serviceKeys, apiKeys }: FastIntrospectionDeps, { id, secret }: ClientCredentials): boolean {
  const key = serviceKeys.use(secret);
  if (key) return id === '' || id === key.name;
  const holder = apiKeys.cached(secret);
  return holder !== null && (id === '' || id === holder.name || id === holder.serviceAccountId);
}

function answer(
  deps: FastIntrospectionDeps,
  client: ClientCredentials,
  { body, request }: { body: Buffer; request: FastRequest },
): FastAnswer | null {
  const asked = readForm(client, body);
  // The form can name another client than the header.
  const answered = asked && isService(deps, asked.client) && introspectFromMemory(deps, asked.input);
  if (!answered) return null;
  const suggestedId = request.headers.get('x-request-id');
  const requestId = suggestedId === '' ? '' : chooseRequestId(suggestedId);
  countPlain(deps, { method: METHOD, request, reason: '', requestId, credential: '' });
  const json = Buffer.from(JSON.stringify(introspectionBody(answered.introspected)));
  const fields = ['pragma', 'no-cache', 'content-type', 'application/json', 'cache-control', 'no-store'];
  fields.push('content-length', String(json.length));
  if (requestId !== '') fields.push('x-request-id', requestId);
  return { head: new HeaderBlock(200, fields), body: json, trailers: null };
}

/** Null when the handler must explain a fault. */
function readForm(
  header: ClientCredentials,
  body: Buffer,
): { client: ClientCredentials; input: IntrospectTokenInput } | null {
  try {
    const form = parseForm(body);
    return { client: withForm(header, form), input: readIntrospection(form) };
  } catch {
    return null;
  }
}
