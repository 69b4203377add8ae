import type { Message } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';
import { withTimeLimit } from '../../async/with-time-limit.ts';
import type { CallRecord } from '../calls/call-record.ts';
import { answerError } from '../calls/errors.ts';
import { type AccessDeps, accessOf, authorize, authorizeFields } from './access.ts';
import { recordOf } from './call-context.ts';
import { nameClient } from './name-client.ts';

const CALL_TIMEOUT_MS = 10_000;
const REAUTHORIZE_EVERY_MS = 900;

export const convertErrors: Interceptor = (next) => async (request) => {
  const record = recordOf({ values: request.contextValues });
  try {
    const answer = await next(request);
    record.code = 'ok';
    return answer.stream ? { ...answer, message: convertStreamErrors(answer.message, record, request.signal) } : answer;
  } catch (error) {
    throw answerError(error, record);
  }
};

/** A stream that ends because its signal aborts has failed. */
async function* convertStreamErrors<T>(
  messages: AsyncIterable<T>,
  record: CallRecord,
  signal: AbortSignal,
): AsyncIterable<T> {
  try {
    yield* messages;
    signal.throwIfAborted();
  } catch (error) {
    throw answerError(error, record);
  }
}

export const limitTime: Interceptor = (next) => (request) => {
  if (request.stream) return next(request);
  return withTimeLimit(request.signal, CALL_TIMEOUT_MS, (signal) => next({ ...request, signal }));
};

/** Checks the service again where its body was slow. */
export function acceptNamedClient(deps: AccessDeps): Interceptor {
  return (next) => async (request) => {
    await nameClient(deps, recordOf({ values: request.contextValues }), request);
    return next(request);
  };
}

/** Authorizes the caller again where its body was slow, for each message of a stream, and while a stream of answers lasts. */
export function authorizeMessages(deps: AccessDeps): Interceptor {
  return (next) => async (request) => {
    const { signal, method } = request;
    const record = recordOf({ values: request.contextValues });
    const authorizeCaller = () =>
      authorize(deps, record, { access: accessOf(deps, method), target: record.method, signal });
    const authorizeMessage = async (message: Message) => {
      const caller = await authorizeCaller();
      const ofFields = await authorizeFields(deps, record, { desc: method.input, message, signal });
      record.principal = caller ?? ofFields;
    };
    if (request.stream) record.principal = await authorizeCaller();
    else await authorizeMessage(request.message);
    const authorizeAnew = (message: Message) => {
      record.identified = null;
      return authorizeMessage(message);
    };
    const answer = await next(
      request.stream ? { ...request, message: authorizeEach(request.message, authorizeAnew) } : request,
    );
    return answer.stream ? { ...answer, message: whileAuthorized(answer.message, authorizeCaller) } : answer;
  };
}

async function* authorizeEach<T>(
  messages: AsyncIterable<T>,
  authorizeMessage: (message: T) => Promise<void>,
): AsyncIterable<T> {
  for await (const message of messages) {
    await authorizeMessage(message);
    yield message;
  }
}

async function* whileAuthorized<T>(
  messages: AsyncIterable<T>,
  authorizeCaller: () => Promise<unknown>,
): AsyncIterable<T> {
  let authorizedAt = performance.now();
  for await (const message of messages) {
    if (performance.now() - authorizedAt > REAUTHORIZE_EVERY_MS) {
      await authorizeCaller();
      authorizedAt = performance.now();
    }
    yield message;
  }
}
