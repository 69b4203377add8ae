import { expect, onTestFinished, test } from 'vitest';
import { gather } from '../../src/async/gather.ts';

const LONG_MS = 60_000;

/** Runs that the test ends. */
function setUp({ maxInputs = 4, waitMs = LONG_MS } = {}) {
  const runs: (PromiseWithResolvers<void> & { inputs: number[] })[] = [];
  const call = gather<number, string>({ maxInputs, waitMs }, async (inputs) => {
    const run = { ...Promise.withResolvers<void>(), inputs };
    runs.push(run);
    await run.promise;
    return inputs.map((input) => `output of ${input}`);
  });
  onTestFinished(() => {
    for (const { resolve } of runs) resolve();
  });
  return { runs, call, inputs: () => runs.map((run) => run.inputs) };
}

const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('inputs of one turn share a run, and each call receives the output of its input', async () => {
  const { runs, call, inputs } = setUp();
  const calls = Promise.all([call(1), call(2), call(3)]);
  await settled();
  expect(inputs()).toEqual([[1, 2, 3]]);
  runs[0]?.resolve();
  expect(await calls).toEqual(['output of 1', 'output of 2', 'output of 3']);
});

test('inputs that arrive during a run share the next one', async () => {
  const { runs, call, inputs } = setUp();
  const first = call(1);
  await settled();
  const later = Promise.all([call(2), call(3)]);
  await settled();
  expect(inputs()).toEqual([[1]]);
  runs[0]?.resolve();
  await first;
  await settled();
  expect(inputs()).toEqual([[1], [2, 3]]);
  runs[1]?.resolve();
  expect(await later).toEqual(['output of 2', 'output of 3']);
});

test('enough inputs for a full run do not wait', async () => {
  const { call, inputs } = setUp();
  const calls = Array.from({ length: 5 }, (_, n) => call(n));
  await settled();
  expect(inputs()).toEqual([[0, 1, 2, 3]]);
  calls.push(...[5, 6, 7].map((n) => call(n)));
  await settled();
  expect(inputs()).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ]);
});

test('a run that hangs delays the next one by the given time only', async () => {
  const { runs, call, inputs } = setUp({ waitMs: 30 });
  const hanging = call(1);
  await settled();
  const next = call(2);
  await settled();
  expect(inputs()).toEqual([[1]]);
  await expect.poll(inputs).toEqual([[1], [2]]);
  runs[1]?.resolve();
  expect(await next).toBe('output of 2');
  runs[0]?.resolve();
  expect(await hanging).toBe('output of 1');
});

test('without a time to wait, the inputs of each turn have a run', async () => {
  const { call, inputs } = setUp({ waitMs: 0, maxInputs: 2 });
  for (const turn of [[1, 2, 3], [4]]) {
    for (const input of turn) void call(input);
    await settled();
  }
  expect(inputs()).toEqual([[1, 2], [3], [4]]);
});

test('a failed run fails for its calls and for no others', async () => {
  const { runs, call } = setUp({ maxInputs: 2 });
  const outcomes = Promise.allSettled([call(1), call(2), call(3), call(4)]);
  await settled();
  runs[0]?.reject(new Error('the run failed'));
  runs[1]?.resolve();
  expect(await outcomes).toEqual([
    { status: 'rejected', reason: new Error('the run failed') },
    { status: 'rejected', reason: new Error('the run failed') },
    { status: 'fulfilled', value: 'output of 3' },
    { status: 'fulfilled', value: 'output of 4' },
  ]);
});

test('an input whose signal aborts before its run is left out', async () => {
  const { runs, call, inputs } = setUp();
  const first = call(1);
  await settled();
  const [leaving, staying] = [new AbortController(), new AbortController()];
  const outcomes = Promise.allSettled([call(2, leaving.signal), call(3, staying.signal)]);
  leaving.abort(new Error('the client has left'));
  runs[0]?.resolve();
  await first;
  await settled();
  expect(inputs()).toEqual([[1], [3]]);
  // Its run has begun, so it ends.
  staying.abort();
  runs[1]?.resolve();
  expect(await outcomes).toEqual([
    { status: 'rejected', reason: new Error('the client has left') },
    { status: 'fulfilled', value: 'output of 3' },
  ]);
});
