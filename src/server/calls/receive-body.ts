// Reads the whole body of a request. An arriving body holds one or more of the `waiting` slots.
import { AuthError } from '../../domain/auth-error.ts';
import { RETRY_SOON_MS } from '../../domain/retry-after.ts';
import type { ServerRequest } from '../transport/server-request.ts';
import type { FairSlots, SlotHolder } from './fair-slots.ts';

export type ReceiveOptions = {
  waiting: FairSlots;
  holder: SlotHolder;
  signal: AbortSignal;
  maxBytes: number;
  /** A throw ends the reading. */
  inspect?: (size: number, arrived: () => Buffer) => void;
};

const BYTES_PER_SLOT = 64 * 1024;

/** @throws AuthError MESSAGE_TOO_LARGE, OVERLOADED, or as `inspect` does; the signal's reason */
export function receiveBody(request: ServerRequest, options: ReceiveOptions): Promise<Buffer> {
  const { waiting, holder, signal, maxBytes, inspect } = options;
  signal.throwIfAborted();
  if (request.headers.contentLength > maxBytes) throw new AuthError('MESSAGE_TOO_LARGE');
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const slots: (() => void)[] = [];
    let size = 0;
    let isFinished = false;

    const joined = () => {
      if (chunks.length > 1) chunks.splice(0, chunks.length, Buffer.concat(chunks));
      return chunks[0] ?? Buffer.alloc(0);
    };
    const stop = () => {
      isFinished = true;
      signal.removeEventListener('abort', onAbort);
      for (const release of slots) release();
    };
    const fail = (error: unknown) => {
      if (isFinished) return;
      stop();
      request.pause();
      reject(error);
    };
    const acquireSlot = () => {
      const onEvicted = () => fail(new AuthError('OVERLOADED', { retryAfterMs: RETRY_SOON_MS }));
      const release = waiting.acquire(holder, onEvicted);
      // Acquiring a slot can evict another slot of this same request.
      if (isFinished) release();
      else slots.push(release);
    };
    const onAbort = () => fail(signal.reason);
    const onData = (piece: Buffer) => {
      if (isFinished) return;
      // The read buffer can be many times as large as the piece.
      chunks.push(Buffer.from(piece));
      size += piece.length;
      try {
        if (size > maxBytes) throw new AuthError('MESSAGE_TOO_LARGE');
        inspect?.(size, joined);
      } catch (error) {
        return fail(error);
      }
      if (size > slots.length * BYTES_PER_SLOT) acquireSlot();
    };
    const onEnd = () => {
      if (isFinished) return;
      stop();
      resolve(joined());
    };
    signal.addEventListener('abort', onAbort);
    acquireSlot();
    if (!isFinished) request.read({ onData, onEnd });
  });
}
