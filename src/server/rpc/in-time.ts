/**
 * The work's result, unless the signal aborts first. Connect aborts the signal when a deadline passes and goes on waiting;
 * the caller must hear at once.
 * @throws the signal's reason
 */
export async function inTime<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work(), aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
