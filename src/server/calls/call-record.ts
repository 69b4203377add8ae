// The record of one call: its caller, its origin and its result. This folder owns what the calls of all protocols
// share: record, log line, deadline, slots, message limits, errors. It must not depend on a use case.
import { randomUUID } from 'node:crypto';
import { type ContextKey, createContextKey } from '@connectrpc/connect';
import { bearerToken } from '../../domain/bearer-token.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { Principal, ServicePrincipal } from '../../domain/principal.ts';
import { withLogContext } from '../../process/log-context.ts';
import type { LogFields } from '../../process/log-fields.ts';
import { type RpcSystem, rpcSystem } from '../../telemetry/rpc-conventions.ts';
import type { CallSpan, Tracing } from '../../telemetry/tracing.ts';
import { soleAuthorization, soleServiceKey } from '../transport/authorization.ts';
import type { ClientAddress } from '../transport/client-address.ts';
import type { Peer } from '../transport/peer.ts';
import type { ServerRequest } from '../transport/server-request.ts';
import type { SlotHolder } from './fair-slots.ts';

export type CallRecord = {
  requestId: string;
  address: string;
  userAgent: string;
  /** performance.now() */
  startedAt: number;
  /** `latchkey.auth.v1.AuthService/Login`; empty for an unknown method. */
  method: string;
  system: RpcSystem;
  span: CallSpan | null;
  /** A gRPC code's name, such as `unauthenticated`; empty until the call is answered. */
  code: string;
  reason: Reason | '';
  peer: Peer;
  /** As soleAuthorization returns it. */
  authorization: string | null;
  bearer: string;
  /** As soleServiceKey returns it. */
  serviceKey: string | null;
  isForwarded: boolean;
  /** Null until the credentials have been checked; `at` is performance.now(). */
  identified: { principal: Principal; at: number } | null;
  /** The same for the service of `x-service-key`, which calls for a user. */
  service: { principal: ServicePrincipal; at: number } | null;
  /** The authorized caller; null for a public method. */
  principal: Principal | null;
  /** The fields of log lines about this call, which its steps add. */
  noted: LogFields;
  /** For defects of this service and failed dependencies only. */
  error: unknown;
};

export type CallDeps = { clientAddress: ClientAddress; tracing: Tracing | null };

export const callRecordKey: ContextKey<CallRecord | null> = createContextKey<CallRecord | null>(null);

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const MAX_USER_AGENT = 200;

export function chooseRequestId(suggested: unknown): string {
  return typeof suggested === 'string' && REQUEST_ID.test(suggested) ? suggested : randomUUID();
}

export function openCallRecord(
  request: ServerRequest,
  { clientAddress, tracing }: CallDeps,
  method: string,
  system = rpcSystem(request.headers.get('content-type')),
): CallRecord {
  const { headers, peer } = request;
  const header = (name: string) => headers.get(name);
  const authorization = soleAuthorization(headers);
  const requestId = chooseRequestId(header('x-request-id'));
  const span = tracing?.begin(method, system, header) ?? null;
  return {
    requestId,
    address: clientAddress(peer.address, header('x-forwarded-for')),
    userAgent: plainUserAgent(header('user-agent')),
    startedAt: performance.now(),
    method,
    system,
    span,
    code: '',
    reason: '',
    peer,
    authorization,
    bearer: bearerToken(authorization),
    serviceKey: soleServiceKey(headers),
    isForwarded: header('x-forwarded-for') !== '' || header('forwarded') !== '',
    identified: null,
    service: null,
    principal: null,
    noted: { request_id: requestId, ...span?.fields, ...certificateFields(peer) },
    error: undefined,
  };
}

/** Runs the steps of a call within its span, so that their log lines have the fields of the call. */
export function runCall<T>({ span, noted }: CallRecord, serve: () => T): T {
  const inContext = () => withLogContext(noted, serve);
  return span ? span.run(inContext) : inContext();
}

function certificateFields({ unlistedName }: Peer): LogFields {
  return unlistedName === undefined ? {} : { certificate_name: unlistedName };
}

export function slotHolder({ address, peer }: Pick<CallRecord, 'address' | 'peer'>): SlotHolder {
  return { address, connection: peer };
}

export function plainUserAgent(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '').slice(0, MAX_USER_AGENT);
}
