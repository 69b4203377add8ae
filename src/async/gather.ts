type Waiting<Input, Output> = {
  input: Input;
  signal: AbortSignal | undefined;
  resolve(output: Output): void;
  reject(error: unknown): void;
};

/** @throws the signal's reason when it aborts before the run begins */
export type Gathered<Input, Output> = (input: Input, signal?: AbortSignal) => Promise<Output>;

export type GatherOptions = {
  maxInputs: number;
  /** How long inputs wait for the end of a run that is in progress, unless there are enough for a full run. */
  waitMs: number;
};

/**
 * Inputs that arrive in one turn of the event loop, or during a run, share the next run.
 * @param run returns an output for each input, in their order. Its error is the error of all of them. It works in the
 *   asynchronous context of one of the callers
 */
export function gather<Input, Output>(
  { maxInputs, waitMs }: GatherOptions,
  run: (inputs: Input[]) => Promise<Output[]>,
): Gathered<Input, Output> {
  let waiting: Waiting<Input, Output>[] = [];
  /** The latest run, until it ends or `waitMs` have passed. */
  let awaited: object | null = null;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled || waiting.length === 0) return;
    isScheduled = true;
    setImmediate(start);
  }

  function start(): void {
    isScheduled = false;
    for (const { signal, reject } of waiting) if (signal?.aborted) reject(signal.reason);
    waiting = waiting.filter(({ signal }) => !signal?.aborted);
    while (waiting.length >= maxInputs || (waiting.length > 0 && !awaited)) void settle(waiting.splice(0, maxInputs));
  }

  async function settle(batch: Waiting<Input, Output>[]): Promise<void> {
    const stopWaiting = waitMs > 0 ? waitFor({}) : null;
    try {
      const outputs = await run(batch.map(({ input }) => input));
      for (const [n, { resolve }] of batch.entries()) resolve(outputs[n] as Output);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    stopWaiting?.();
  }

  function waitFor(latest: object): () => void {
    awaited = latest;
    const stop = () => {
      clearTimeout(timer);
      if (awaited !== latest) return;
      awaited = null;
      schedule();
    };
    const timer = setTimeout(stop, waitMs);
    return stop;
  }

  return (input, signal) =>
    new Promise((resolve, reject) => {
      waiting.push({ input, signal, resolve, reject });
      if (!awaited || waiting.length >= maxInputs) schedule();
    });
}
