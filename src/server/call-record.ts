// What is known of one call while it runs, and the line that the log gets when it is over.
import { type ContextKey, createContextKey } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { Reason } from '../domain/auth-error.ts';
import type { Principal } from '../domain/principal.ts';
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
const CALLER_WENT_AWAY = 'canceled';

/** The request's `x-request-id` is used if it is one; else a new id is made. */
export function openCallRecord(newId: () => string, request: NodeRequest): CallRecord {
  const suggestedId = request.headers['x-request-id'];
  return {
    requestId: typeof suggestedId === 'string' && REQUEST_ID.test(suggestedId) ? suggestedId : newId(),
    address: request.socket?.remoteAddress ?? '',
    userAgent: (request.headers['user-agent'] ?? '').replace(/[^\x20-\x7e]/g, '').slice(0, MAX_USER_AGENT),
    startedAt: performance.now(),
    method: '',
    code: '',
    reason: '',
    principal: null,
    error: undefined,
  };
}

/**
 * One line a call, with no token, email or password in it.
 * @param wasAnswered whether the whole answer went out
 */
export function logCall(log: Logger, record: CallRecord, wasAnswered: boolean): void {
  const { method, reason, principal } = record;
  const code = wasAnswered ? record.code : CALLER_WENT_AWAY;
  const fields = {
    method,
    code,
    ...(wasAnswered && reason && { reason }),
    duration_ms: Math.round((performance.now() - record.startedAt) * 100) / 100,
    peer: record.address,
    request_id: record.requestId,
    ...(principal?.kind === 'user' && { user_id: principal.userId }),
    ...(principal?.kind === 'service' && { service: principal.name }),
    ...(record.error !== undefined && { err: record.error }),
  };
  if (reason === 'INTERNAL') log.error(fields, 'call');
  else if (record.error !== undefined) log.warn(fields, 'call');
  else log.info(fields, 'call');
}
