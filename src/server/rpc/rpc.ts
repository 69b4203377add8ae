// Connect: gRPC, gRPC-Web and Connect for every RPC. This folder owns what is true of all RPCs: who may call
// them, how messages become the input of use cases, and how results become messages. It must not decide anything that a
// use case decides.
import { createConnectRouter, createContextValues, type Interceptor } from '@connectrpc/connect';
import type { UniversalServerResponse } from '@connectrpc/connect/protocol';
import type { CallLog } from '../calls/call-log.ts';
import {
  type CallDeps,
  type CallRecord,
  callRecordKey,
  openCallRecord,
  runCall,
  slotHolder,
} from '../calls/call-record.ts';
import { answerError } from '../calls/errors.ts';
import { type FairSlots, holdUntilRead } from '../calls/fair-slots.ts';
import { MESSAGE_BOUNDS } from '../calls/message-bounds.ts';
import type { Handler } from '../transport/handler.ts';
import type { ServerResponse } from '../transport/server-response.ts';
import type { ReflectionAccess } from './access.ts';
import type { ServesService } from './admin-services.ts';
import { replaceRejection } from './connect-rejections.ts';
import { createGate, type GateStep, type PendingCall, pendingCallKey } from './gate.ts';
import type { Routes } from './routes.ts';
import { createRpcBody } from './rpc-body.ts';
import { sendUniversal, universalRequest } from './universal.ts';

export type RpcDeps = CallDeps &
  ReflectionAccess & {
    callLog: CallLog;
    waiting: FairSlots;
    unread: FairSlots;
  };

export type RpcOptions = {
  gate: GateStep[];
  interceptors: Interceptor[];
  services: Routes[];
  /** Calls of other services are left to the handlers after this one. */
  serves: ServesService;
};

export function createRpcHandler(deps: RpcDeps, { gate, interceptors, services, serves }: RpcOptions): Handler {
  const router = createConnectRouter({
    readMaxBytes: MESSAGE_BOUNDS.maxBytes,
    writeMaxBytes: MESSAGE_BOUNDS.maxBytes,
    // Inflating costs a thousand times what sending does, and no message here contains much text.
    acceptCompression: [],
    binaryOptions: { readUnknownFields: false },
    // JSON would leave out `false` and `[]`, which are answers.
    jsonOptions: { alwaysEmitImplicit: true },
    requestGate: createGate(gate),
    interceptors,
  });
  for (const addRoutes of services) addRoutes(router);
  const served = router.handlers.filter(({ service }) => serves(service.typeName));
  const handlers = new Map(served.map((handler) => [handler.requestPath, handler]));

  return (request, response) => {
    const handler = handlers.get(request.path);
    if (!handler) return false;
    const { methodKind } = handler.method;
    const record = openCallRecord(request, deps, `${handler.service.typeName}/${handler.method.name}`);
    if (methodKind !== 'unary') request.answerLasts();
    if (methodKind === 'bidi_streaming') request.requestLasts();
    response.setHeader('x-request-id', record.requestId);
    response.setHeader('cache-control', 'no-store');
    const { allowedMethods } = handler;
    if (!allowedMethods.includes(request.method)) response.setHeader('allow', allowedMethods.join(', '));
    const body = createRpcBody(request, handler.method, deps);
    const pending: PendingCall = { body, releaseSlot: null };
    const values = createContextValues().set(callRecordKey, record).set(pendingCallKey, pending);
    const universal = universalRequest(request, body, values);
    request.onceClosed(() => deps.callLog.write(record, response.isSent));
    const answer = async () => {
      const result = await handler(universal).finally(() => pending.releaseSlot?.());
      if (methodKind === 'unary') holdUntilRead(deps.unread, slotHolder(record), request);
      await write(result, request.headers.get('content-type'), response, record);
    };
    runCall(record, answer).catch((error: unknown) => {
      // A failed write to a client that has disconnected is no defect.
      if (!response.isClosed) answerError(error, record);
      response.destroy();
    });
    return true;
  };
}

async function write(
  answer: UniversalServerResponse,
  contentType: string,
  response: ServerResponse,
  record: CallRecord,
): Promise<void> {
  const isRejectedByConnect = record.code === '';
  await sendUniversal(isRejectedByConnect ? await replaceRejection(answer, contentType, record) : answer, response);
}
