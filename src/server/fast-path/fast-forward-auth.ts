// Forward auth on the fast path: a request that memory can decide gets its response as soon as its head has arrived.
import type { TokenPrincipal } from '../../domain/principal.ts';
import { HeaderBlock } from '../../http2/hpack/header-block.ts';
import { chooseRequestId } from '../calls/call-record.ts';
import { type Authorization, authorizeFromMemory, type GatewayRequest } from '../gateway/authorize-request.ts';
import { type ForwardAuthSource, isForwardAuth, readForwardAuth } from '../gateway/forward-auth-request.ts';
import { forwardAuthResponse } from '../gateway/forward-auth-response.ts';
import type { FastAnswer, FastCall, FastRequest } from '../transport/fast-handler.ts';
import type { RequestHead } from '../transport/server-stream.ts';
import { type Counting, countPlain } from './count-plain.ts';
import type { FastEndpoint, PreparedRequest } from './fast-path.ts';

type ForwardAuthDeps = Parameters<typeof authorizeFromMemory>[0] &
  ForwardAuthSource &
  Counting & { corsOrigins: string[] };

const FORWARD_AUTH = 'forward-auth';

export function createFastForwardAuth(deps: ForwardAuthDeps): FastEndpoint {
  return {
    serves: isForwardAuth,

    prepare(headers): PreparedRequest | null {
      // Pages need CORS headers, and a HEAD request a response without its body.
      if (headers.method === 'HEAD' || (deps.corsOrigins.length > 0 && headers.has('origin'))) return null;
      // A policy can change while the connection lasts.
      const known = deps.policy ? null : read(deps, headers);
      return { begin: (request) => begin(deps, known, request) };
    },
  };
}

/** Null for an invalid configuration of the route: the handler explains it. */
function read(deps: ForwardAuthDeps, headers: RequestHead): GatewayRequest | null {
  try {
    return readForwardAuth(deps, headers);
  } catch {
    return null;
  }
}

function begin(deps: ForwardAuthDeps, known: GatewayRequest | null, request: FastRequest): FastCall | null {
  const asked = request.isComplete ? (known ?? read(deps, request.headers)) : null;
  return asked && { bodyLength: () => -1, answer: () => answer(deps, asked, request), rejectTruncated: () => null };
}

function answer(deps: ForwardAuthDeps, asked: GatewayRequest, request: FastRequest): FastAnswer | null {
  const authorization = authorizeFromMemory(deps, asked);
  if (!authorization) return null;
  const suggestedId = request.headers.get('x-request-id');
  // A successful call is counted but not logged, so a new request id would be useless.
  const requestId = authorization.allowed && suggestedId === '' ? '' : chooseRequestId(suggestedId);
  const reason = authorization.allowed ? '' : authorization.reason;
  countPlain(deps, { method: FORWARD_AUTH, request, reason, requestId, credential: asked.token });
  return requestId === '' ? knownAnswer(authorization) : newAnswer(authorization, requestId);
}

/** A principal of the token cache gets the same response each time. */
const allowedHeads = new WeakMap<TokenPrincipal, HeaderBlock>();

function knownAnswer(authorization: Authorization): FastAnswer {
  const principal = authorization.allowed && authorization.cookies === undefined ? authorization.principal : null;
  const known = principal && allowedHeads.get(principal);
  if (known) return { head: known, body: null, trailers: null };
  const made = newAnswer(authorization, '');
  if (principal) allowedHeads.set(principal, made.head);
  return made;
}

function newAnswer(authorization: Authorization, requestId: string): FastAnswer {
  const { status, headers, body } = forwardAuthResponse(authorization);
  const bytes = Buffer.from(body);
  const fields = [...headers.flat(), 'content-length', String(bytes.length)];
  if (requestId !== '') fields.push('x-request-id', requestId);
  return { head: new HeaderBlock(status, fields), body: bytes.length === 0 ? null : bytes, trailers: null };
}
