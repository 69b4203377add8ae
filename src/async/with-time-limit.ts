import { untilAborted } from './until-aborted.ts';

/**
 * The work receives a signal that aborts with the given one, and after the time. With AbortSignal.any and
 * AbortSignal.timeout, everything that the work holds would stay in memory until a full garbage collection.
 * @throws the signal's reason; the work itself goes on
 */
export async function withTimeLimit<T>(
  signal: AbortSignal,
  milliseconds: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const limited = new AbortController();
  const abort = () => limited.abort(signal.reason);
  const timer = setTimeout(() => {
    limited.abort(new DOMException(`timed out after ${milliseconds} ms`, 'TimeoutError'));
  }, milliseconds);
  signal.addEventListener('abort', abort);
  try {
    return await untilAborted(limited.signal, () => work(limited.signal));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
