type Waiting<Input, Output> = {
  input: Input;
  signal: AbortSignal | undefined;
  resolve(output: Output): void;
  reject(error: unknown): void;
};

/** @throws the signal's reason when it aborts before the run begins */
export type Gathered<Input, Output> = (input: Input, signal?: AbortSignal) => Promise<Output>;

/**
 * Inputs that arrive in the same turn of the event loop, or during runs, share one run. It returns an output for each
 * input, in their order, and its error is the error of all of them.
 * @param run works in the asynchronous context of one of the callers
 */
export function gather<Input, Output>(
  { maxInputs, maxRuns }: { maxInputs: number; maxRuns: number },
  run: (inputs: Input[]) => Promise<Output[]>,
): Gathered<Input, Output> {
  let waiting: Waiting<Input, Output>[] = [];
  let runs = 0;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled || waiting.length === 0 || runs === maxRuns) return;
    isScheduled = true;
    setImmediate(start);
  }

  async function start(): Promise<void> {
    isScheduled = false;
    const batch = take();
    if (batch.length === 0) return;
    runs += 1;
    schedule();
    try {
      const outputs = await run(batch.map(({ input }) => input));
      for (const [n, { resolve }] of batch.entries()) resolve(outputs[n] as Output);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    runs -= 1;
    schedule();
  }

  function take(): Waiting<Input, Output>[] {
    const live = waiting.filter(({ signal }) => !signal?.aborted);
    for (const { signal, reject } of waiting) if (signal?.aborted) reject(signal.reason);
    waiting = live.slice(maxInputs);
    return live.slice(0, maxInputs);
  }

  return (input, signal) =>
    new Promise((resolve, reject) => {
      waiting.push({ input, signal, resolve, reject });
      schedule();
    });
}
