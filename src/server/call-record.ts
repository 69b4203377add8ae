// What is known of one call while it runs.
import { randomUUID } from 'node:crypto';
import { type ContextKey, createContextKey } from '@connectrpc/connect';
import type { Reason } from '../domain/auth-error.ts';
import type { Principal } from '../domain/principal.ts';
import type { ClientAddress } from './client-address.ts';
import type { NodeRequest } from './handler.ts';

export type CallRecord = {
  requestId: string;
  address: string;
  userAgent: string;
  /** performance.now() */
  startedAt: number;
  /** `auth.v1.AuthService/Login`; empty until a method is found. */
  method: string;
  /** A gRPC code's name, such as `unauthenticated`; empty until the call was answered. */
  code: string;
  reason: Reason | '';
  /** Who calls, once that is known. */
  principal: Principal | null;
  /** Only of our own defects and of dependencies that failed. */
  error: unknown;
};

export const callRecordKey: ContextKey<CallRecord | null> = createContextKey<CallRecord | null>(null);

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
const MAX_USER_AGENT = 200;

/** What the caller suggests is used if it is an id; else a new one is made. */
export function chooseRequestId(suggested: unknown): string {
  return typeof suggested === 'string' && REQUEST_ID.test(suggested) ? suggested : randomUUID();
}

export function openCallRecord(request: NodeRequest, clientAddress: ClientAddress): CallRecord {
  return {
    requestId: chooseRequestId(request.headers['x-request-id']),
    address: clientAddress(request.socket?.remoteAddress ?? '', String(request.headers['x-forwarded-for'] ?? '')),
    userAgent: plainUserAgent(request.headers['user-agent'] ?? ''),
    startedAt: performance.now(),
    method: '',
    code: '',
    reason: '',
    principal: null,
    error: undefined,
  };
}

export function plainUserAgent(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '').slice(0, MAX_USER_AGENT);
}
