// The record of one call: its caller, its origin and its result. This folder owns what the calls of all protocols share: record, log
// line, deadline, slots, message limits, errors. It must not depend on a use case.
import { randomUUID } from 'node:crypto';
import { type ContextKey, createContextKey } from '@connectrpc/connect';
import { bearerToken } from '../../domain/bearer-token.ts';
import type { Reason } from '../../domain/error-reason.ts';
import type { Principal } from '../../domain/principal.ts';
import { type RpcSystem, rpcSystem } from '../../telemetry/rpc-conventions.ts';
import type { CallSpan, Tracing } from '../../telemetry/tracing.ts';
import { soleAuthorization } from '../transport/authorization.ts';
import type { ClientAddress } from '../transport/client-address.ts';
import type { NodeRequest } from '../transport/handler.ts';
import { type Peer, peerOf } from '../transport/peer.ts';
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
  /** Null while tracing is off. */
  span: CallSpan | null;
  /** A gRPC code's name, such as `unauthenticated`; empty until the call is answered. */
  code: string;
  reason: Reason | '';
  peer: Peer;
  /** As soleAuthorization returns it. */
  authorization: string | null;
  /** The token of `authorization: Bearer ...`; empty without one. */
  bearer: string;
  /** Whether a proxy passes on the call of another client. */
  isForwarded: boolean;
  /** The caller as the credentials of the call identify it, and when they were checked (performance.now()). Null before. */
  identified: { principal: Principal; at: number } | null;
  /** The caller of a method or field that is not public. */
  principal: Principal | null;
  /** Set only for defects of this service and for failed dependencies. */
  error: unknown;
};

export type CallDeps = { clientAddress: ClientAddress; tracing: Tracing | null };

export const callRecordKey: ContextKey<CallRecord | null> = createContextKey<CallRecord | null>(null);

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const MAX_USER_AGENT = 200;

/** The request id of the client if it is valid, or a new one. */
export function chooseRequestId(suggested: unknown): string {
  return typeof suggested === 'string' && REQUEST_ID.test(suggested) ? suggested : randomUUID();
}

export function openCallRecord(
  request: NodeRequest,
  { clientAddress, tracing }: CallDeps,
  method: string,
  system = rpcSystem(request.headers['content-type']),
): CallRecord {
  const header = (name: string) => String(request.headers[name] ?? '');
  const peer = peerOf(request.socket);
  const authorization = soleAuthorization(request.rawHeaders);
  return {
    requestId: chooseRequestId(request.headers['x-request-id']),
    address: clientAddress(peer.address, header('x-forwarded-for')),
    userAgent: plainUserAgent(request.headers['user-agent'] ?? ''),
    startedAt: performance.now(),
    method,
    system,
    span: tracing?.begin(method, system, header) ?? null,
    code: '',
    reason: '',
    peer,
    authorization,
    bearer: bearerToken(authorization),
    isForwarded: header('x-forwarded-for') !== '' || header('forwarded') !== '',
    identified: null,
    principal: null,
    error: undefined,
  };
}

/** The holder of the slots that a call acquires. */
export function slotHolder({ address, peer }: Pick<CallRecord, 'address' | 'peer'>): SlotHolder {
  return { address, connection: peer };
}

export function plainUserAgent(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '').slice(0, MAX_USER_AGENT);
}
