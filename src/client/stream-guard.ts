// Ends a stream whose token is no longer valid: a stream can last longer than the session of its caller.

/** A revoked token is rejected within about a second. */
const RECHECK_EVERY_MS = 1_000;

export type StreamGuard = { stop(): void };

/** @param onInvalid receives the error of the first check that fails; there are no checks after it */
export function guardStream(check: () => Promise<unknown>, onInvalid: (error: unknown) => void): StreamGuard {
  let isChecking = false;
  const timer = setInterval(() => {
    if (isChecking) return;
    isChecking = true;
    check().then(
      () => {
        isChecking = false;
      },
      (error: unknown) => {
        clearInterval(timer);
        onInvalid(error);
      },
    );
  }, RECHECK_EVERY_MS).unref();
  return { stop: () => clearInterval(timer) };
}

/** Fails as soon as a check does, also while no message arrives. */
export async function* whileValid<T>(messages: AsyncIterable<T>, check: () => Promise<unknown>): AsyncIterable<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let failure: { error: unknown } | null = null;
  let failWaiting: (error: unknown) => void = () => {};
  const guard = guardStream(check, (error) => {
    failure = { error };
    failWaiting(error);
  });
  // A race with one promise would keep a reaction for every message.
  const nextMessage = () =>
    new Promise<IteratorResult<T>>((resolve, reject) => {
      failWaiting = reject;
      if (failure) reject(failure.error);
      else iterator.next().then(resolve, reject);
    });
  let isFinished = false;
  try {
    for (;;) {
      const { done, value } = await nextMessage();
      isFinished = done === true;
      if (isFinished) return;
      yield value;
    }
  } finally {
    guard.stop();
    // Not awaited: the handler may never end.
    if (!isFinished) void iterator.return?.();
  }
}
