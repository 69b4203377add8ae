import type { HandlerContext } from '@connectrpc/connect';
import type { RoleReader } from '../../authorization/role-reads.ts';
import { type Actor, actorName } from '../../domain/actor.ts';
import type { Origin } from '../../domain/audit-event.ts';
import type { Call } from '../../domain/call.ts';
import { keyName, type UserCaller } from '../../domain/principal.ts';
import { type CallRecord, callRecordKey } from '../calls/call-record.ts';

export function recordOf(context: Pick<HandlerContext, 'values'>): CallRecord {
  const record = context.values.get(callRecordKey);
  if (!record) throw new Error('the call has no record');
  return record;
}

export function callOf(context: Pick<HandlerContext, 'values' | 'signal'>): Call {
  return toCall(recordOf(context), context.signal);
}

export function toCall({ address, userAgent, requestId }: Origin, signal: AbortSignal): Call {
  return { origin: { address, userAgent, requestId }, signal };
}

export function bearerOf(context: Pick<HandlerContext, 'values'>): string {
  return recordOf(context).bearer;
}

function callerOf(context: HandlerContext): string {
  return actorName(actorOf(context));
}

/** The reader of roles, for the audit trail. */
export function readerOf(context: HandlerContext): RoleReader {
  const { principal } = recordOf(context);
  return { name: callerOf(context), key: principal?.kind === 'service' ? keyName(principal) : null };
}

/** The caller of an ADMIN method. */
export function actorOf(context: HandlerContext): Actor {
  const { principal } = recordOf(context);
  if (!principal) throw new Error(`${context.method.name} was reached without a caller`);
  const { kind } = principal;
  if (kind === 'service') {
    const { name, serviceAccountId, keyId } = principal;
    return { kind, name, serviceAccountId, keyId };
  }
  const { userId, sessionId, refreshCounter } = principal;
  return { kind, userId, sessionId, refreshCounter };
}

/** The caller of a USER method. */
export function userOf(context: HandlerContext): UserCaller {
  const { principal } = recordOf(context);
  if (principal?.kind !== 'user') throw new Error(`${context.method.name} was reached without a user`);
  return principal;
}
