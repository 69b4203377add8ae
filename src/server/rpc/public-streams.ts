// Streams of callers without credentials. Each lasts until its slot is evicted, and then ends with OVERLOADED.
import type { DescMethod } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';
import { Access } from '../../../gen/latchkey/auth/v1/options_pb.ts';
import { AuthError } from '../../domain/auth-error.ts';
import { RETRY_STREAM_MS } from '../../domain/retry-after.ts';
import { slotHolder } from '../calls/call-record.ts';
import type { FairSlots } from '../calls/fair-slots.ts';
import { accessOf, type ReflectionAccess } from './access.ts';
import { recordOf } from './call-context.ts';

export function limitPublicStreams(deps: ReflectionAccess & { publicStreams: FairSlots }): Interceptor {
  return (next) => async (request) => {
    if (!isPublicStream(deps, request.method)) return next(request);
    request.signal.throwIfAborted();
    const evicted = Promise.withResolvers<never>();
    evicted.promise.catch(() => {});
    const error = new AuthError('OVERLOADED', { retryAfterMs: RETRY_STREAM_MS });
    const release = deps.publicStreams.acquire(slotHolder(recordOf({ values: request.contextValues })), () =>
      evicted.reject(error),
    );
    request.signal.addEventListener('abort', release);
    const answer = await next(request);
    return answer.stream ? { ...answer, message: untilRejected(answer.message, evicted.promise, release) } : answer;
  };
}

async function* untilRejected<T>(
  messages: AsyncIterable<T>,
  ended: Promise<never>,
  onEnd: () => void,
): AsyncIterable<T> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await Promise.race([iterator.next(), ended]);
      if (done) return;
      yield value;
    }
  } finally {
    onEnd();
    // Not awaited: it may never end.
    void iterator.return?.();
  }
}

function isPublicStream(deps: ReflectionAccess, method: DescMethod): boolean {
  return method.methodKind !== 'unary' && accessOf(deps, method) === Access.PUBLIC;
}
