// Steps before a call's message is decoded, so that a caller without access costs no more than its headers.
import { type ContextKey, createContextKey, type HandlerContext } from '@connectrpc/connect';
import { untilAborted } from '../../async/until-aborted.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { type CallRecord, slotHolder } from '../calls/call-record.ts';
import type { ConcurrencyLimit } from '../calls/concurrency-limit.ts';
import { answerError } from '../calls/errors.ts';
import { type FairSlots, whileWaiting } from '../calls/fair-slots.ts';
import { type AccessDeps, accessOf, authorize } from './access.ts';
import { recordOf } from './call-context.ts';
import { nameClient } from './name-client.ts';
import type { RpcBody } from './rpc-body.ts';

export type PendingCall = {
  body: RpcBody;
  releaseSlot: (() => void) | null;
};
export const pendingCallKey: ContextKey<PendingCall | null> = createContextKey<PendingCall | null>(null);

export type GateStep = (context: HandlerContext, record: CallRecord, pending: PendingCall) => void | Promise<void>;

const ENCODING_HEADERS = ['grpc-encoding', 'content-encoding', 'connect-content-encoding'];

export function createGate(steps: GateStep[]): (context: HandlerContext) => Promise<void> {
  return async (context) => {
    const record = recordOf(context);
    const pending = context.values.get(pendingCallKey);
    if (!pending) throw new Error('the call has no body');
    try {
      await untilAborted(context.signal, async () => {
        for (const step of steps) await step(context, record, pending);
      });
    } catch (error) {
      throw answerError(error, record);
    }
  };
}

/** @throws AuthError UNIMPLEMENTED */
export const rejectCompression: GateStep = ({ requestHeader, responseHeader }) => {
  const isCompressed = ENCODING_HEADERS.some((name) => !['identity', null].includes(requestHeader.get(name)));
  if (!isCompressed) return;
  responseHeader.set('grpc-accept-encoding', 'identity');
  throw new AuthError('UNIMPLEMENTED');
};

export const rejectAmbiguousCredentials: GateStep = (_, { authorization, serviceKey }) => {
  if (authorization === null || serviceKey === null) throw new AuthError('CREDENTIALS_AMBIGUOUS');
};

/** Before the other steps, so that denials and slots count the client that the service names. */
export function identifyClient(deps: AccessDeps & { waiting: FairSlots }): GateStep {
  return ({ requestHeader, signal }, record) =>
    whileWaiting(deps.waiting, slotHolder(record), nameClient(deps, record, { header: requestHeader, signal }));
}

export function authorizeCaller(deps: AccessDeps & { waiting: FairSlots }): GateStep {
  return async ({ method, signal }, record) => {
    const caller = authorize(deps, record, { access: accessOf(deps, method), target: record.method, signal });
    record.principal = await whileWaiting(deps.waiting, slotHolder(record), caller);
  };
}

export const receiveMessage: GateStep = async ({ signal }, record, { body }) => {
  await body.receive(slotHolder(record), signal);
  signal.throwIfAborted();
};

/**
 * Unary calls only: a stream lasts. Streams of anonymous callers have slots of their own.
 * @throws AuthError OVERLOADED
 */
export function acquireSlot(limit: ConcurrencyLimit): GateStep {
  return ({ method }, record, pending) => {
    if (method.methodKind === 'unary') pending.releaseSlot = limit.acquire(record.address);
  };
}
