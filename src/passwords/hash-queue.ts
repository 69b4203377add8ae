// Bounds the password work of this process: how much runs at once, how much may wait, and for how long.
import { AuthError } from '../domain/auth-error.ts';
import { RETRY_SOON_MS } from '../domain/retry-after.ts';

export type HashQueueOptions = {
  /** Tasks that run at once. */
  concurrency: number;
  /** Tasks that may wait; one more is refused. */
  maxWaiting: number;
  /** How long a task may wait before it is refused, in milliseconds. */
  maxWaitMs: number;
  /** Hears of each task that was done. */
  onDone?: (waitedMs: number, durationMs: number) => void;
};

export type HashQueue = {
  /** @throws AuthError OVERLOADED when the queue is full or the wait too long; the signal's reason when it aborts first */
  run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  tasks(): { running: number; waiting: number };
};

type Waiter = { start: () => void };

export function createHashQueue({ concurrency, maxWaiting, maxWaitMs, onDone }: HashQueueOptions): HashQueue {
  const waiting = new Set<Waiter>();
  let running = 0;

  function acquire(signal: AbortSignal | undefined): Promise<void> {
    if (running < concurrency) {
      running += 1;
      return Promise.resolve();
    }
    if (waiting.size >= maxWaiting) return Promise.reject(overloaded());
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        waiting.delete(waiter);
      };
      const refuse = (reason: unknown) => {
        leave();
        reject(reason);
      };
      const waiter: Waiter = {
        start: () => {
          leave();
          resolve();
        },
      };
      const timer = setTimeout(() => refuse(overloaded()), maxWaitMs);
      const abort = () => refuse(signal?.reason);
      signal?.addEventListener('abort', abort);
      waiting.add(waiter);
    });
  }

  /** Hands the place on to who has waited longest; a Set keeps the order of arrival. */
  function release(): void {
    const next = waiting.values().next().value;
    if (next) next.start();
    else running -= 1;
  }

  return {
    async run(task, signal) {
      signal?.throwIfAborted();
      const askedAt = performance.now();
      await acquire(signal);
      const startedAt = performance.now();
      try {
        return await task();
      } finally {
        release();
        onDone?.(startedAt - askedAt, performance.now() - startedAt);
      }
    },
    tasks: () => ({ running, waiting: waiting.size }),
  };
}

function overloaded(): AuthError {
  return new AuthError('OVERLOADED', { retryAfterMs: RETRY_SOON_MS });
}
