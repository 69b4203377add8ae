// Connect for Node: gRPC, gRPC-Web and Connect for every RPC. Owns what is true of all calls: limits on size and time,
// who may call, how failures look, the request id, the log line.
import type { Message } from '@bufbuild/protobuf';
import {
  type ContextKey,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type Interceptor,
} from '@connectrpc/connect';
import type { UniversalServerRequest, UniversalServerResponse } from '@connectrpc/connect/protocol';
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from '@connectrpc/connect-node';
import { untilAborted } from '../../async/until-aborted.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { bearerToken } from '../../domain/bearer-token.ts';
import type { CallLog } from '../calls/call-log.ts';
import { type CallRecord, callRecordKey, holderOf, openCallRecord, plainUserAgent } from '../calls/call-record.ts';
import type { ConcurrencyLimit } from '../calls/concurrency-limit.ts';
import { dropEndlessTimeout } from '../calls/deadlines.ts';
import { answerError } from '../calls/errors.ts';
import { type FairSlots, holdUntilRead, whileWaiting } from '../calls/fair-slots.ts';
import { MESSAGE_BOUNDS } from '../calls/message-bounds.ts';
import { plainAddress } from '../transport/client-address.ts';
import { ANSWER_LASTS, type Handler, type NodeResponse, REQUEST_LASTS } from '../transport/handler.ts';
import { serviceAt } from '../transport/peer.ts';
import { accessOf, authorize, authorizeFields, type Credentials, maySpeakForOthers } from './access.ts';
import { callOf, recordOf } from './call-context.ts';
import { replaceRefusal } from './connect-rejections.ts';
import { limitPublicStreams } from './public-streams.ts';
import { type RouteDeps, type Routes, routes } from './routes.ts';
import { createRpcBody, type RpcBody } from './rpc-body.ts';

/** What calls take slots of. */
type SlotDeps = {
  concurrencyLimit: ConcurrencyLimit;
  /** Of requests whose body has not arrived. */
  waiting: FairSlots;
  /** Of answers that have not been read. */
  unread: FairSlots;
  /** Of streams of callers without credentials. */
  publicStreams: FairSlots;
};
type RpcDeps = RouteDeps & SlotDeps;

/** How long a call may take, whatever its caller allows. */
const CALL_TIMEOUT_MS = 10_000;
const CLIENT_HEADERS = ['x-client-address', 'x-client-user-agent'];
/** How often the caller's right to a stream is looked at. */
const LOOK_AGAIN_MS = 900;
/** Headers by which each protocol announces a compressed request. */
const ENCODINGS = ['grpc-encoding', 'content-encoding', 'connect-content-encoding'];

type Exchange = {
  body: RpcBody;
  /** Gives the call's slot back; null while it has none. */
  release: (() => void) | null;
};
const exchangeKey: ContextKey<Exchange | null> = createContextKey<Exchange | null>(null);

/** @param others what is served besides this service's own RPCs */
export function createRpcHandler(deps: RpcDeps, callLog: CallLog, others: Routes[]): Handler {
  const router = createConnectRouter({
    readMaxBytes: MESSAGE_BOUNDS.maxBytes,
    writeMaxBytes: MESSAGE_BOUNDS.maxBytes,
    // Inflating costs a thousand times what sending does, and no client here sends or needs much text.
    acceptCompression: [],
    binaryOptions: { readUnknownFields: false },
    // `false` and `[]` are answers; without this, JSON leaves them out.
    jsonOptions: { alwaysEmitImplicit: true },
    requestGate: (context) => admitRequest(deps, context),
    interceptors: [answerAllErrors, endInTime, limitPublicStreams(deps.publicStreams), guard(deps)],
  });
  for (const add of [routes(deps), ...others]) add(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return (request, response) => {
    const handler = handlers.get(request.url?.split('?', 1)[0] ?? '');
    if (!handler) return false;
    const method = `${handler.service.typeName}/${handler.method.name}`;
    const { methodKind } = handler.method;
    const record = openCallRecord(request, deps, method);
    if (methodKind !== 'unary') response.emit(ANSWER_LASTS);
    if (methodKind === 'bidi_streaming') response.emit(REQUEST_LASTS);
    response.setHeader('x-request-id', record.requestId);
    response.setHeader('cache-control', 'no-store');
    const { allowedMethods } = handler;
    if (!allowedMethods.includes(request.method ?? '')) response.setHeader('allow', allowedMethods.join(', '));
    const body = createRpcBody(request, handler.method, deps.waiting);
    const exchange: Exchange = { body, release: null };
    const values = createContextValues().set(callRecordKey, record).set(exchangeKey, exchange);
    const universal = { ...universalRequestFromNodeRequest(request, response, undefined, values), body };
    dropEndlessTimeout(universal.header);
    response.once('close', () => callLog.write(record, response.writableFinished));
    const answer = async () => {
      const made = await handler(universal).finally(() => exchange.release?.());
      if (methodKind === 'unary') holdUntilRead(deps.unread, holderOf(record), response);
      await write(made, universal, response, record);
    };
    (record.span ? record.span.run(answer) : answer()).catch((error: unknown) => {
      // Writing to a caller who went away is no defect.
      if (!request.destroyed && !response.destroyed) answerError(error, record);
      response.destroy();
    });
    return true;
  };
}

async function write(
  answer: UniversalServerResponse,
  request: UniversalServerRequest,
  response: NodeResponse,
  record: CallRecord,
): Promise<void> {
  const wasRefused = record.code === '';
  const contentType = request.header.get('content-type') ?? '';
  await universalResponseToNodeResponse(
    wasRefused ? await replaceRefusal(answer, contentType, record) : answer,
    response,
  );
}

/**
 * Runs before Connect decodes anything: the caller is authorized, the message arrives, the call gets its slot. In this order, so
 * that a caller who may not call a method costs no more than the headers.
 */
async function admitRequest(deps: RpcDeps, context: HandlerContext): Promise<void> {
  const record = recordOf(context);
  try {
    await untilAborted(context.signal, () => receive(deps, context, record));
  } catch (error) {
    throw answerError(error, record);
  }
}

async function receive(deps: RpcDeps, context: HandlerContext, record: CallRecord): Promise<void> {
  const { method, signal, values } = context;
  const exchange = values.get(exchangeKey);
  if (!exchange) throw new Error('the call has no exchange');
  rejectCompression(context);
  const { origin } = callOf(context);
  const caller = authorize(deps, accessOf(method), credentialsOf(record), record.method, { origin, signal });
  record.principal = await whileWaiting(deps.waiting, holderOf(record), caller);
  await exchange.body.receive(holderOf(record), signal);
  signal.throwIfAborted();
  // A stream lasts; those of strangers have slots of their own.
  if (method.methodKind === 'unary') exchange.release = deps.concurrencyLimit.acquire(record.address);
}

/** @throws AuthError UNIMPLEMENTED, before any of the body is read */
function rejectCompression({ requestHeader, responseHeader }: HandlerContext): void {
  const isCompressed = ENCODINGS.some((name) => !['identity', null].includes(requestHeader.get(name)));
  if (!isCompressed) return;
  responseHeader.set('grpc-accept-encoding', 'identity');
  throw new AuthError('UNIMPLEMENTED');
}

/** @throws AuthError CREDENTIALS_AMBIGUOUS */
function credentialsOf({ authorization, isForwarded, peer }: CallRecord): Credentials {
  if (authorization === null) throw new AuthError('CREDENTIALS_AMBIGUOUS');
  // The certificate of a proxy is not that of those whose calls it passes on.
  return { bearer: bearerToken(authorization), peerService: () => (isForwarded ? null : serviceAt(peer)) };
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
  return untilAborted(signal, () => next({ ...request, signal }));
};

/** After the body, which its sender may hold back for seconds: a caller whose right has ended by then may not go on. */
function guard(deps: RouteDeps): Interceptor {
  return (next) => async (request) => {
    const record = recordOf({ values: request.contextValues });
    const credentials = credentialsOf(record);
    const context = { values: request.contextValues, signal: request.signal };
    const namesClient = CLIENT_HEADERS.some((name) => request.header.has(name));
    if (namesClient && (await maySpeakForOthers(deps, credentials, record.method, callOf(context)))) {
      noteEndUser(record, request.header);
    }
    const call = callOf(context);
    const { input } = request.method;
    const mayGoOn = () => authorize(deps, accessOf(request.method), credentials, record.method, call);
    const maySend = async (message: Message) => {
      const caller = await mayGoOn();
      const ofFields = await authorizeFields(deps, input, message, credentials, call);
      record.principal = caller ?? ofFields;
    };
    if (request.stream) record.principal = await mayGoOn();
    else await maySend(request.message);
    const answer = await next(
      request.stream ? { ...request, message: eachAllowed(request.message, maySend) } : request,
    );
    return answer.stream ? { ...answer, message: whileAllowed(answer.message, mayGoOn) } : answer;
  };
}

/** Of a stream that a caller sends, the handler sees no message that the caller may not send any more. */
async function* eachAllowed<T>(messages: AsyncIterable<T>, maySend: (message: T) => Promise<void>): AsyncIterable<T> {
  for await (const message of messages) {
    await maySend(message);
    yield message;
  }
}

/** A service that calls for its users names their client, so that limits by network count them and not the service. */
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
