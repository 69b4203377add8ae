type Waiting<Input, Output> = {
  input: Input;
  signal: AbortSignal | undefined;
  resolve(output: Output): void;
  reject(error: unknown): void;
};

/** @throws the signal's reason when it aborts before the run begins */
export type Gathered<Input, Output> = (input: Input, signal?: AbortSignal) => Promise<Output>;

/**
 * Inputs that arrive in one turn of the event loop, or while `maxRuns` runs are in progress, share a run.
 * @param run returns an output for each input, in their order. Its error is the error of all of them. It works in the
 *   asynchronous context of one of the callers
 */
export function gather<Input, Output>(
  { maxInputs, maxRuns = Number.POSITIVE_INFINITY }: { maxInputs: number; maxRuns?: number },
  run: (inputs: Input[]) => Promise<Output[]>,
): Gathered<Input, Output> {
  let waiting: Waiting<Input, Output>[] = [];
  let runs = 0;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled || waiting.length === 0 || runs >= maxRuns) return;
    isScheduled = true;
    setImmediate(start);
  }

  function start(): void {
    isScheduled = false;
    for (const { signal, reject } of waiting) if (signal?.aborted) reject(signal.reason);
    waiting = waiting.filter(({ signal }) => !signal?.aborted);
    while (waiting.length > 0 && runs < maxRuns) void settle(waiting.splice(0, maxInputs));
  }

  async function settle(batch: Waiting<Input, Output>[]): Promise<void> {
    runs += 1;
    try {
      const outputs = await run(batch.map(({ input }) => input));
      for (const [n, { resolve }] of batch.entries()) resolve(outputs[n] as Output);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    runs -= 1;
    schedule();
  }

  return (input, signal) =>
    new Promise((resolve, reject) => {
      waiting.push({ input, signal, resolve, reject });
      schedule();
    });
}
