// What is known of one call while it runs.
import { randomUUID } from 'node:crypto';
import { type ContextKey, createContextKey } from '@connectrpc/connect';
import type { Reason } from '../../domain/error-reason.ts';
import type { Principal } from '../../domain/principal.ts';
import { type RpcSystem, rpcSystem } from '../../telemetry/rpc-conventions.ts';
import type { CallSpan, Tracing } from '../../telemetry/tracing.ts';
import { soleAuthorization } from '../transport/authorization.ts';
import type { ClientAddress } from '../transport/client-address.ts';
import type { NodeRequest } from '../transport/handler.ts';
import { type Peer, peerOf } from '../transport/peer.ts';
import type { Holder } from './fair-slots.ts';

export type CallRecord = {
  requestId: string;
  address: string;
  userAgent: string;
  /** performance.now() */
  startedAt: number;
  /** `latchkey.auth.v1.AuthService/Login`; empty when nothing of this name is served. */
  method: string;
  system: RpcSystem;
  /** Null when nobody wants traces. */
  span: CallSpan | null;
  /** A gRPC code's name, such as `unauthenticated`; empty until the call was answered. */
  code: string;
  reason: Reason | '';
  peer: Peer;
  /** The value of the one header of that name; empty without, null when there are several. */
  authorization: string | null;
  /** Whether a proxy says that the call is somebody else's. */
  isForwarded: boolean;
  /** Who calls, once that is known. */
  principal: Principal | null;
  /** Only of our own defects and of dependencies that failed. */
  error: unknown;
};

/** What it takes to know of a call. */
export type CallDeps = { clientAddress: ClientAddress; tracing: Tracing | null };

export const callRecordKey: ContextKey<CallRecord | null> = createContextKey<CallRecord | null>(null);

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const MAX_USER_AGENT = 200;

/** What the caller suggests is used if it is an id; else a new one is made. */
export function chooseRequestId(suggested: unknown): string {
  return typeof suggested === 'string' && REQUEST_ID.test(suggested) ? suggested : randomUUID();
}

/** Where a call comes from, as far as its proxies are believed. */
function addressOf({ headers, socket }: NodeRequest, clientAddress: ClientAddress): string {
  return clientAddress(peerOf(socket).address, String(headers['x-forwarded-for'] ?? ''));
}

export function openCallRecord(
  request: NodeRequest,
  { clientAddress, tracing }: CallDeps,
  method: string,
  system = rpcSystem(request.headers['content-type']),
): CallRecord {
  const header = (name: string) => String(request.headers[name] ?? '');
  const peer = peerOf(request.socket);
  return {
    requestId: chooseRequestId(request.headers['x-request-id']),
    address: addressOf(request, clientAddress),
    userAgent: plainUserAgent(request.headers['user-agent'] ?? ''),
    startedAt: performance.now(),
    method,
    system,
    span: tracing?.begin(method, system, header) ?? null,
    code: '',
    reason: '',
    peer,
    authorization: soleAuthorization(request.rawHeaders),
    isForwarded: header('x-forwarded-for') !== '' || header('forwarded') !== '',
    principal: null,
    error: undefined,
  };
}

/** Who holds the slots that a call takes. */
export function holderOf({ address, peer }: Pick<CallRecord, 'address' | 'peer'>): Holder {
  return { address, connection: peer };
}

export function plainUserAgent(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '').slice(0, MAX_USER_AGENT);
}
