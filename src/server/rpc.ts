// Connect for Node: gRPC, gRPC-Web and Connect for every RPC. Owns what is true of all calls: limits on size and time,
// who may call, how failures look, the request id, the log line.
import type { DescMethod } from '@bufbuild/protobuf';
import { type ContextValues, createConnectRouter, createContextValues, type Interceptor } from '@connectrpc/connect';
import type { UniversalHandler, UniversalServerRequest } from '@connectrpc/connect/protocol';
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { Access } from '../../gen/auth/v1/options_pb.ts';
import { AuthError } from '../domain/auth-error.ts';
import { bearerToken } from '../domain/bearer-token.ts';
import { accessOf, authorize, authorizeFields } from './access.ts';
import { callOf, recordOf } from './call-context.ts';
import type { CallLog } from './call-log.ts';
import { type CallRecord, callRecordKey, openCallRecord, plainUserAgent } from './call-record.ts';
import { plainAddress } from './client-address.ts';
import type { Crowd } from './crowd.ts';
import { answerError } from './errors.ts';
import { ANSWER_LASTS, type Handler, type NodeResponse, REQUEST_LASTS } from './handler.ts';
import { inTime } from './in-time.ts';
import { MAX_MESSAGE_BYTES } from './max-bytes.ts';
import { serviceAt } from './peer.ts';
import { replaceRefusal } from './refusals.ts';
import { type RouteDeps, type Routes, routes } from './routes.ts';
import { dropEndlessTimeout } from './timeouts.ts';

/** How long a call may take, whatever its caller allows. */
const CALL_TIMEOUT_MS = 10_000;
/** Streams of callers whom nobody knows, which may last: so many hold no more memory than a process has. */
const MAX_PUBLIC_STREAMS = 1_000;
const RETRY_AFTER_MS = 5_000;
/** How often the caller's right to a stream is looked at. */
const LOOK_AGAIN_MS = 900;

/** @param others what is served besides this service's own RPCs */
export function createRpcHandler(deps: RouteDeps, callLog: CallLog, crowd: Crowd, others: Routes[]): Handler {
  let publicStreams = 0;
  const router = createConnectRouter({
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    acceptCompression: [compressionGzip],
    // `false` and `[]` are answers; without this, JSON leaves them out.
    jsonOptions: { alwaysEmitImplicit: true },
    interceptors: [answerAllErrors, endInTime, boundPublicStreams(() => publicStreams), guard(deps)],
  });
  for (const add of [routes(deps), ...others]) add(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return (request, response) => {
    const handler = handlers.get(request.url?.split('?', 1)[0] ?? '');
    if (!handler) return false;
    const method = `${handler.service.typeName}/${handler.method.name}`;
    const { methodKind } = handler.method;
    if (methodKind === 'unary' && !crowd.admit(method, request, response)) return true;
    const record = openCallRecord(request, deps, method);
    if (methodKind !== 'unary') response.emit(ANSWER_LASTS);
    if (methodKind === 'bidi_streaming') response.emit(REQUEST_LASTS);
    if (isPublicStream(handler.method)) {
      publicStreams += 1;
      response.once('close', () => {
        publicStreams -= 1;
      });
    }
    response.setHeader('x-request-id', record.requestId);
    response.setHeader('cache-control', 'no-store');
    const universal = universalRequestFromNodeRequest(request, response, undefined, valuesOf(record));
    dropEndlessTimeout(universal.header);
    response.once('close', () => callLog.write(record, response.writableFinished));
    const answer = () => serve(handler, universal, response, record);
    (record.span ? record.span.run(answer) : answer()).catch((error: unknown) => {
      // Writing to a caller who went away is no defect.
      if (!request.destroyed && !response.destroyed) answerError(error, record);
      response.destroy();
    });
    return true;
  };
}

async function serve(
  handler: UniversalHandler,
  request: UniversalServerRequest,
  response: NodeResponse,
  record: CallRecord,
): Promise<void> {
  const answer = await handler(request);
  const wasRefused = record.code === '';
  const contentType = request.header.get('content-type') ?? '';
  await universalResponseToNodeResponse(
    wasRefused ? await replaceRefusal(answer, contentType, record) : answer,
    response,
  );
}

function valuesOf(record: CallRecord): ContextValues {
  return createContextValues().set(callRecordKey, record);
}

const answerAllErrors: Interceptor = (next) => async (request) => {
  const record = recordOf({ values: request.contextValues });
  try {
    const answer = await next(request);
    record.code = 'ok';
    return answer.stream ? { ...answer, message: untilItFails(answer.message, record, request.signal) } : answer;
  } catch (error) {
    throw answerError(error, record);
  }
};

/** A stream that ends because its caller's time is over has not ended well. */
async function* untilItFails<T>(messages: AsyncIterable<T>, record: CallRecord, signal: AbortSignal): AsyncIterable<T> {
  try {
    yield* messages;
    signal.throwIfAborted();
  } catch (error) {
    throw answerError(error, record);
  }
}

const endInTime: Interceptor = (next) => (request) => {
  // A stream lasts as long as its caller wants.
  if (request.stream) return next(request);
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
  return inTime(signal, () => next({ ...request, signal }));
};

/** @param open how many there are, with this one */
function boundPublicStreams(open: () => number): Interceptor {
  return (next) => (request) => {
    if (isPublicStream(request.method) && open() > MAX_PUBLIC_STREAMS) {
      throw new AuthError('OVERLOADED', { retryAfterMs: RETRY_AFTER_MS });
    }
    return next(request);
  };
}

function isPublicStream(method: DescMethod): boolean {
  return method.methodKind !== 'unary' && accessOf(method) === Access.PUBLIC;
}

/** After the body, which its sender may hold back for seconds: who may not call any more by then, may not. */
function guard(deps: RouteDeps): Interceptor {
  return (next) => async (request) => {
    const record = recordOf({ values: request.contextValues });
    const bearer = bearerToken(request.header.get('authorization'));
    // The certificate of a proxy is not that of those whose calls it passes on.
    const peerService = () => (record.isForwarded ? null : serviceAt(record.peer));
    const credentials = { bearer, peerService };
    const isService =
      deps.serviceKeys.nameOf(bearer) !== null || (await deps.apiKeys.open(bearer, request.signal)) !== null;
    if (peerService() !== null || isService) noteEndUser(record, request.header);
    const call = callOf({ values: request.contextValues, signal: request.signal });
    record.principal = await authorize(deps, accessOf(request.method), credentials, record.method, call);
    if (!request.stream) await authorizeFields(deps, request.method.input, request.message, credentials, call);
    const answer = await next(request);
    if (!answer.stream) return answer;
    const mayGoOn = () => authorize(deps, accessOf(request.method), credentials, record.method, call);
    return { ...answer, message: whileAllowed(answer.message, mayGoOn) };
  };
}

/**
 * A service that calls for its users may say where they are, so that limits by network count them and not the service. Of
 * anybody else these headers change nothing.
 */
function noteEndUser(record: CallRecord, headers: Headers): void {
  const [address, userAgent] = [headers.get('x-client-address'), headers.get('x-client-user-agent')];
  if (address !== null) {
    const plain = plainAddress(address);
    const violations = [{ field: 'x-client-address', description: 'must be an IP address' }];
    if (plain === null) throw new AuthError('INVALID_ARGUMENT', { violations });
    record.address = plain;
  }
  if (userAgent !== null) record.userAgent = plainUserAgent(userAgent);
}

/** A stream outlives its caller's right to it; so that is looked at again between messages, once a second at the most. */
async function* whileAllowed<T>(messages: AsyncIterable<T>, mayGoOn: () => Promise<unknown>): AsyncIterable<T> {
  let lookedAt = performance.now();
  for await (const message of messages) {
    if (performance.now() - lookedAt > LOOK_AGAIN_MS) {
      await mayGoOn();
      lookedAt = performance.now();
    }
    yield message;
  }
}
