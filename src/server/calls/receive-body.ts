// The body of a request, read whole before anything is done with it. While it arrives it holds slots of those that wait.
import { AuthError } from '../../domain/auth-error.ts';
import type { NodeRequest } from '../transport/handler.ts';
import { type FairSlots, type Holder, RETRY_AFTER_MS } from './fair-slots.ts';

export type ReceiveOptions = {
  waiting: FairSlots;
  holder: Holder;
  /** Aborts when the caller leaves, or its time is over. */
  signal: AbortSignal;
  /** In bytes. */
  maxBytes: number;
  /** Called with each piece that arrives: how many bytes there are, and the bytes. Throws to end the reading. */
  inspect?: (size: number, arrived: () => Buffer) => void;
};

/** A slot of those that wait is for so much of a body; a larger one takes several. */
const SLOT_BYTES = 64 * 1024;

/** @throws AuthError MESSAGE_TOO_LARGE, OVERLOADED, or as `inspect` does; the signal's reason */
export function receiveBody(request: NodeRequest, options: ReceiveOptions): Promise<Buffer> {
  const { waiting, holder, signal, maxBytes, inspect } = options;
  signal.throwIfAborted();
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw new AuthError('MESSAGE_TOO_LARGE');
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const slots: (() => void)[] = [];
    let size = 0;
    let isOver = false;

    const joined = () => {
      if (chunks.length > 1) chunks.splice(0, chunks.length, Buffer.concat(chunks));
      return chunks[0] ?? Buffer.alloc(0);
    };
    const stop = () => {
      isOver = true;
      request.off('data', onData);
      request.off('end', onEnd);
      signal.removeEventListener('abort', onAbort);
      for (const giveBack of slots) giveBack();
    };
    const fail = (error: unknown) => {
      stop();
      request.pause();
      reject(error);
    };
    const takeSlot = () => {
      const onEvicted = () => fail(new AuthError('OVERLOADED', { retryAfterMs: RETRY_AFTER_MS }));
      const giveBack = waiting.acquire(holder, onEvicted);
      // Taking a slot can cost this very request another one.
      if (isOver) giveBack();
      else slots.push(giveBack);
    };
    const onAbort = () => fail(signal.reason);
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      try {
        if (size > maxBytes) throw new AuthError('MESSAGE_TOO_LARGE');
        inspect?.(size, joined);
      } catch (error) {
        return fail(error);
      }
      if (size > slots.length * SLOT_BYTES) takeSlot();
    };
    const onEnd = () => {
      stop();
      resolve(joined());
    };
    signal.addEventListener('abort', onAbort);
    takeSlot();
    request.on('data', onData);
    request.on('end', onEnd);
  });
}
