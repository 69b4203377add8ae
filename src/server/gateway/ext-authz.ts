// Envoy's ext_authz, v3: what Envoy asks in the words of auth/admit.ts, and the admission in Envoy's.
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
import { ERROR_REASONS } from '../../domain/error-reason.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { callOf, recordOf } from '../rpc/call-context.ts';
import type { Routes } from '../rpc/routes.ts';
import { type Admission, admit, parseRequirement, type Requirement } from './authorize-request.ts';
import { challenge, identityHeaders, refusalStatus } from './identity-headers.ts';

type CheckAnswer = MessageInitShape<typeof CheckResponseSchema>;

/** Does not throw for a token that is not good: that is an answer. Any other status is to Envoy an error of ours. */
export function extAuthzRoutes(deps: Pick<Deps, 'verifier' | 'denials'>): Routes {
  return (router) => {
    router.service(Authorization, {
      async check(request, context) {
        const { requirement, token } = readCheck(request);
        const admission = await admit(deps, requirement, token, callOf(context));
        if (!admission.admitted) recordOf(context).reason = admission.reason;
        return sayAdmission(admission);
      },
    });
  };
}

/** @throws AuthError INVALID_ARGUMENT for a route that is configured badly */
export function readCheck({ attributes }: CheckRequest): { requirement: Requirement; token: string } {
  const requirement = parseRequirement(attributes?.contextExtensions ?? {});
  const http = attributes?.request?.http;
  const named = Object.entries(http?.headers ?? {}).filter(([name]) => isAuthorization(name));
  // With `encode_raw_headers` they come in the second form.
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

export function sayAdmission(admission: Admission): CheckAnswer {
  return admission.admitted ? sayAdmitted(admission) : sayRefused(admission);
}

function sayAdmitted({ principal }: Extract<Admission, { admitted: true }>): CheckAnswer {
  const said = Object.entries(identityHeaders(principal));
  const headers = said
    .filter(([, value]) => value !== '')
    .map(([key, value]) => ({ header: { key, value }, appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD }));
  // What there is nothing to say of goes, whatever the client has said.
  const headersToRemove = said.filter(([, value]) => value === '').map(([key]) => key);
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

function sayRefused({ reason }: Extract<Admission, { admitted: false }>): CheckAnswer {
  const status = refusalStatus(reason);
  const headers = {
    'www-authenticate': challenge(reason),
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
        body: JSON.stringify({ reason, message: ERROR_REASONS[reason].message }),
      },
    },
  };
}
