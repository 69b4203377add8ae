import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import {
  Authorization,
  type CheckRequest,
  type CheckResponseSchema,
} from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import type { JudgeDeps } from '../../auth/judge-credentials.ts';
import type { JudgeSessionDeps } from '../../auth/judge-session.ts';
import type { Denials } from '../../authorization/denials.ts';
import type { Deps } from '../../deps.ts';
import { AuthError } from '../../domain/auth-error.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { chooseRequestId, plainUserAgent } from '../calls/call-record.ts';
import { CHECK_BOUNDS } from '../calls/message-bounds.ts';
import { callOf, recordOf } from '../rpc/call-context.ts';
import type { Routes } from '../rpc/routes.ts';
import type { ClientAddress } from '../transport/client-address.ts';
import {
  type Authorization as Authorized,
  authorizeRequest,
  type GatewayRequest,
  type Rejection,
} from './authorize-request.ts';
import { type CheckFacts, factsOf } from './check-facts.ts';
import { CheckedClient, type CheckSource, type CurrentPolicy, METADATA_PREFIX, readRequest } from './check-request.ts';
import { deniedResponse, OVERWRITE } from './denied-response.ts';
import { identityHeaders } from './identity-headers.ts';

type Allowed = Extract<Authorized, { allowed: true }>;
type CheckAnswer = MessageInitShape<typeof CheckResponseSchema>;
type Checked = { client: CheckedClient; request: GatewayRequest | Rejection };

type ExtAuthzDeps = JudgeDeps &
  JudgeSessionDeps &
  Pick<Deps, 'browserSessions'> & { denials: Denials; policy: CurrentPolicy; clientAddress: ClientAddress };

/**
 * An invalid token is a response, not an error, and so is an invalid requirement: Envoy treats an error as a failure of
 * this service, which may let the request pass (`failure_mode_allow`).
 */
export function extAuthzRoutes(deps: ExtAuthzDeps): Routes {
  return (router) => {
    const check = (message: CheckRequest, context: HandlerContext) => answerCheck(deps, message, context);
    router.service(Authorization, { check }, { readMaxBytes: CHECK_BOUNDS.maxBytes });
  };
}

async function answerCheck(deps: ExtAuthzDeps, message: CheckRequest, context: HandlerContext): Promise<CheckAnswer> {
  const record = recordOf(context);
  const forwardedFor = context.requestHeader.get('x-forwarded-for') ?? '';
  const metadata = [...context.requestHeader].filter(([name]) => name.startsWith(METADATA_PREFIX));
  const { client, request } = readCheck(factsOf(message), { ...deps, metadata });
  // A call can wait for a database, and its message can hold the body of the client's request.
  delete message.attributes;
  record.address = addressOf(deps.clientAddress, client, { peer: record.peer.address, forwardedFor });
  if (client.requestId !== '') record.requestId = chooseRequestId(client.requestId);
  if (client.userAgent !== '') record.userAgent = plainUserAgent(client.userAgent);
  const authorization = 'allowed' in request ? request : await authorizeRequest(deps, request, callOf(context));
  if (!authorization.allowed) record.reason = authorization.reason;
  return checkResponse(authorization, client, record.requestId);
}

export function readCheck(facts: CheckFacts, source: CheckSource): Checked {
  const client = new CheckedClient(facts);
  try {
    return { client, request: readRequest(facts, source) };
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    return { client, request: { allowed: false, reason: error.reason, violations: error.violations } };
  }
}

/** Envoy's own view of the client counts when the call comes from a trusted proxy. */
function addressOf(
  clientAddress: ClientAddress,
  { forwardedFor }: CheckedClient,
  { peer, forwardedFor: proxies }: { peer: string; forwardedFor: string },
): string {
  return clientAddress(peer, [forwardedFor, proxies].filter((part) => part !== '').join(','));
}

export function checkResponse(authorization: Authorized, client: CheckedClient, requestId: string): CheckAnswer {
  if (authorization.allowed) return okResponse(authorization);
  const { code, status, headers, body } = deniedResponse(authorization, client.protocol, requestId);
  const value = {
    status: { code: status },
    headers: headers.map(([key, text]) => ({ header: { key, value: text }, appendAction: OVERWRITE })),
    body,
  };
  return { status: { code, message: authorization.reason }, httpResponse: { case: 'deniedResponse', value } };
}

function okResponse({ principal, cookies }: Allowed): CheckAnswer {
  const all = Object.entries({ ...identityHeaders(principal), ...(cookies !== undefined && { cookie: cookies }) });
  const headers = all
    .filter(([, value]) => value !== '')
    .map(([key, value]) => ({ header: { key, value }, appendAction: OVERWRITE }));
  // A client can have sent headers of these names.
  const headersToRemove = all.filter(([, value]) => value === '').map(([key]) => key);
  return {
    status: { code: 0 },
    httpResponse: {
      case: 'okResponse',
      value: { headers, headersToRemove },
    },
    ...(principal && { dynamicMetadata: metadataOf(principal) }),
  };
}

function metadataOf(principal: TokenPrincipal) {
  const { roles } = principal;
  if (principal.kind === 'service') return { service: principal.name, roles };
  const { userId, sessionId, email, emailVerified, acr, amr, authTime } = principal;
  return {
    user_id: userId,
    session_id: sessionId,
    email,
    email_verified: emailVerified,
    acr,
    amr,
    ...(authTime && { auth_time: authTime.getTime() / 1000 }),
    roles,
  };
}
