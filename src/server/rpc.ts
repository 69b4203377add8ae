// Connect for Node: gRPC, gRPC-Web and Connect for every RPC. Owns what is true of all calls: limits on size and time,
// who may call, how failures look, the request id, the log line.
import {
  Code,
  type ContextValues,
  createConnectRouter,
  createContextValues,
  type HandlerContext,
  type Interceptor,
} from '@connectrpc/connect';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import type { Logger } from 'pino';
import { accessOf, authorize, bearerToken } from './access.ts';
import { callOf, recordOf } from './call-context.ts';
import { type CallRecord, callRecordKey, logCall, openCallRecord } from './call-record.ts';
import { answerError, codeName } from './errors.ts';
import type { Handler, NodeRequest, NodeResponse } from './handler.ts';
import { type RouteDeps, routes } from './routes.ts';

/** Of one message, in either direction, compressed or not. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
/** How long a call may take, whatever its caller allows. */
const CALL_TIMEOUT_MS = 10_000;
const CLIENT_CLOSED_REQUEST = 'canceled';

export function createRpcHandler(deps: RouteDeps, log: Logger): Handler {
  const router = createConnectRouter({
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    acceptCompression: [compressionGzip],
    // `false` and `[]` are answers; without this, JSON leaves them out.
    jsonOptions: { alwaysEmitImplicit: true },
    requestGate: (context) => gate(deps, context),
    interceptors: [answerAllErrors, endInTime],
  });
  routes(deps)(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return (request, response) => {
    const handler = handlers.get(request.url?.split('?', 1)[0] ?? '');
    if (!handler) return false;
    const record = openRecord(request, deps.newId);
    response.once('close', () => logCall(log, withFinalCode(record, response)));
    const universal = universalRequestFromNodeRequest(request, response, undefined, valuesOf(record));
    handler(universal)
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((error: unknown) => {
        record.error ??= error;
        response.destroy();
      });
    return true;
  };
}

function openRecord(request: NodeRequest, newId: () => string): CallRecord {
  const suggestedId = request.headers['x-request-id'];
  return openCallRecord(
    newId,
    Array.isArray(suggestedId) ? undefined : suggestedId,
    request.socket?.remoteAddress ?? '',
    request.headers['user-agent'],
  );
}

function valuesOf(record: CallRecord): ContextValues {
  return createContextValues().set(callRecordKey, record);
}

/** Runs before the body is read: a caller who may not call costs nothing more. */
async function gate(deps: RouteDeps, context: HandlerContext): Promise<void> {
  const record = recordOf(context);
  record.method = `${context.service.typeName}/${context.method.name}`;
  context.responseHeader.set('x-request-id', record.requestId);
  context.responseHeader.set('cache-control', 'no-store');
  try {
    const credential = bearerToken(context.requestHeader);
    record.principal = await authorize(deps, accessOf(context.method), credential, record.method, callOf(context));
  } catch (error) {
    throw answerError(error, record);
  }
}

const answerAllErrors: Interceptor = (next) => async (request) => {
  const record = recordOf({ values: request.contextValues });
  try {
    const answer = await next(request);
    record.code = 'ok';
    return answer;
  } catch (error) {
    throw answerError(error, record);
  }
};

/** Connect aborts the signal when a deadline passes and goes on waiting; the caller must hear at once. */
const endInTime: Interceptor = (next) => async (request) => {
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([next({ ...request, signal }), aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
};

/** What Connect itself refused, before any interceptor ran, is known by its HTTP status or its trailers alone. */
function withFinalCode(record: CallRecord, response: NodeResponse): CallRecord {
  if (!response.writableFinished) record.code = CLIENT_CLOSED_REQUEST;
  else if (record.code === '')
    record.code = response.statusCode === 200 ? 'refused' : codeOfStatus(response.statusCode);
  return record;
}

function codeOfStatus(status: number): string {
  const codes: Record<number, Code> = {
    400: Code.InvalidArgument,
    404: Code.Unimplemented,
    405: Code.Unimplemented,
    408: Code.DeadlineExceeded,
    415: Code.InvalidArgument,
    429: Code.ResourceExhausted,
  };
  return codeName(codes[status] ?? Code.Unknown);
}
