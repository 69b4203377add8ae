import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { HeaderValueOption_HeaderAppendAction as AppendAction } from '../../../gen/envoy/config/core/v3/base_pb.ts';
import {
  Authorization,
  type CheckRequest,
  type CheckResponseSchema,
} from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import type { Deps } from '../../deps.ts';
import { soleBearerToken } from '../../domain/bearer-token.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { combineRequirements, parseRequirement, type RouteRequirement } from '../../policy/route-requirement.ts';
import { callOf, recordOf } from '../rpc/call-context.ts';
import type { Routes } from '../rpc/routes.ts';
import { type Authorization as Authorized, authorizeRequest } from './authorize-request.ts';
import { identityHeaders, rejection } from './identity-headers.ts';

type CheckAnswer = MessageInitShape<typeof CheckResponseSchema>;

/** An invalid token is a response, not an error: Envoy treats an error as a failure of this service. */
export function extAuthzRoutes(deps: Pick<Deps, 'verifier' | 'denials'>): Routes {
  return (router) => {
    router.service(Authorization, {
      async check(request, context) {
        const { requirement, token } = readCheck(request);
        const authorization = await authorizeRequest(deps, requirement, token, callOf(context));
        if (!authorization.allowed) recordOf(context).reason = authorization.reason;
        return checkResponse(authorization);
      },
    });
  };
}

/** @throws AuthError INVALID_ARGUMENT for an invalid configuration of the route */
export function readCheck({ attributes }: CheckRequest): { requirement: RouteRequirement; token: string } {
  const requirement = combineRequirements([parseRequirement(attributes?.contextExtensions ?? {})]);
  const http = attributes?.request?.http;
  const named = Object.entries(http?.headers ?? {}).filter(([name]) => isAuthorization(name));
  // Envoy uses the second form with `encode_raw_headers`.
  const raw = http?.headerMap?.headers.filter(({ key }) => isAuthorization(key)) ?? [];
  const values = [
    ...named.map(([, value]) => value),
    ...raw.flatMap(({ value, rawValue }) => [value, Buffer.from(rawValue).toString()].filter((text) => text !== '')),
  ];
  return { requirement, token: soleBearerToken(values) };
}

function isAuthorization(name: string): boolean {
  return name.length === 13 && name.toLowerCase() === 'authorization';
}

export function checkResponse(authorization: Authorized): CheckAnswer {
  return authorization.allowed ? okResponse(authorization.principal) : deniedResponse(authorization.reason);
}

function okResponse(principal: TokenPrincipal | null): CheckAnswer {
  const all = Object.entries(identityHeaders(principal));
  const headers = all
    .filter(([, value]) => value !== '')
    .map(([key, value]) => ({ header: { key, value }, appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD }));
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
  const { userId, sessionId, email, emailVerified } = principal;
  return { user_id: userId, session_id: sessionId, email, email_verified: emailVerified, roles };
}

function deniedResponse(reason: Reason): CheckAnswer {
  const { status, challenge, body } = rejection(reason);
  const headers = {
    'www-authenticate': challenge,
    'content-type': 'application/json',
    'cache-control': 'no-store',
  };
  return {
    status: { code: status === 401 ? Code.Unauthenticated : Code.PermissionDenied, message: reason },
    httpResponse: {
      case: 'deniedResponse',
      value: {
        status: { code: status },
        headers: Object.entries(headers).map(([key, value]) => ({ header: { key, value } })),
        body: JSON.stringify(body),
      },
    },
  };
}
