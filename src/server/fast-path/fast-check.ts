// Check of ext_authz, answered from memory.
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { encodeEnvelope } from '@connectrpc/connect/protocol';
import { CheckResponseSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import type { Deps } from '../../deps.ts';
import type { TokenPrincipal } from '../../domain/principal.ts';
import { chooseRequestId } from '../calls/call-record.ts';
import { type Authorization, authorizeFromMemory } from '../gateway/authorize-request.ts';
import type { CheckedClient, CurrentPolicy } from '../gateway/check-request.ts';
import { checkResponse, readCheck } from '../gateway/ext-authz.ts';
import { ENVELOPE_BYTES, type FastCaller, type Reply } from './fast-method.ts';
import { readCheckFacts } from './read-check.ts';

export type CheckDeps = Parameters<typeof authorizeFromMemory>[0] &
  Pick<Deps, 'browserSessions'> & { policy: CurrentPolicy };

/** Null when the handlers must answer. @param start of the message in these bytes */
export function check(deps: CheckDeps, bytes: Buffer, start: number, caller: FastCaller): Reply | null {
  const facts = readCheckFacts(bytes, start);
  if (!facts) return null;
  const { policy, browserSessions } = deps;
  const { client, request } = readCheck(facts, { policy, browserSessions, metadata: caller.requirements() });
  const authorization = 'allowed' in request ? request : authorizeFromMemory(deps, request);
  if (!authorization) return null;
  const suggestedId = client.requestId || caller.requestId;
  const requestId = authorization.allowed && suggestedId === '' ? '' : chooseRequestId(suggestedId);
  return encodeCheck(authorization, 'allowed' in request ? '' : request.token, client, requestId);
}

/** With the prefix of gRPC. A principal of the token cache gets the same response each time. */
const allowedResponses = new WeakMap<TokenPrincipal, Uint8Array>();

function encodeCheck(
  authorization: Authorization,
  credential: string,
  client: CheckedClient,
  requestId: string,
): Reply {
  const principal = authorization.allowed && authorization.cookies === undefined ? authorization.principal : null;
  const known = principal && allowedResponses.get(principal);
  // Encoded by the library: Envoy's messages are large and not ours to change.
  const envelope = known ?? envelopeOf(checkResponse(authorization, client, requestId));
  if (principal && !known) allowedResponses.set(principal, envelope);
  const reply: Reply = {
    envelope,
    size: () => envelope.length - ENVELOPE_BYTES,
    write: (into, at) => into.set(envelope.subarray(ENVELOPE_BYTES), at),
    json: () => '',
    credential,
    client: { requestId, forwardedFor: () => client.forwardedFor },
  };
  if (!authorization.allowed) reply.denial = authorization.reason;
  return reply;
}

function envelopeOf(response: MessageInitShape<typeof CheckResponseSchema>): Uint8Array {
  return encodeEnvelope(0, toBinary(CheckResponseSchema, create(CheckResponseSchema, response)));
}
