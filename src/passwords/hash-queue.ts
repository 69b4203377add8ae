import { AuthError } from '../domain/auth-error.ts';
import { RETRY_SOON_MS } from '../domain/retry-after.ts';

export type HashQueueOptions = {
  concurrency: number;
  maxWaiting: number;
  maxWaitMs: number;
  onDone?: (waitedMs: number, durationMs: number) => void;
};

export type HashQueue = {
  /** @throws AuthError OVERLOADED when the queue is full or the wait too long, or the signal's reason */
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
      const rejectWaiter = (reason: unknown) => {
        leave();
        reject(reason);
      };
      const waiter: Waiter = {
        start: () => {
          leave();
          resolve();
        },
      };
      const timer = setTimeout(() => rejectWaiter(overloaded()), maxWaitMs);
      const abort = () => rejectWaiter(signal?.reason);
      signal?.addEventListener('abort', abort);
      waiting.add(waiter);
    });
  }

  /** Starts the task that has waited longest: a Set keeps the order of insertion. */
  function release(): void {
    const next = waiting.values().next().value;
    if (next) next.start();
    else running -= 1;
  }

  return {
    async run(task, signal) {
      signal?.throwIfAborted();
      const requestedAt = performance.now();
      await acquire(signal);
      const startedAt = performance.now();
      try {
        return await task();
      } finally {
        release();
        onDone?.(startedAt - requestedAt, performance.now() - startedAt);
      }
    },
    tasks: () => ({ running, waiting: waiting.size }),
  };
}

function overloaded(): AuthError {
  return new AuthError('OVERLOADED', { retryAfterMs: RETRY_SOON_MS });
}
