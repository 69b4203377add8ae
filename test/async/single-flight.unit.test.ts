import { expect, test } from 'vitest';
import { singleFlight } from '../../src/async/single-flight.ts';

/** Work that the test ends. */
function setUp() {
  const runs: PromiseWithResolvers<void>[] = [];
  const call = singleFlight(() => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  });
  return { runs, call };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('callers that arrive during a run share one run that begins after it', async () => {
  const { runs, call } = setUp();
  const first = call();
  await settled();
  expect(runs).toHaveLength(1);
  const [second, third] = [call(), call()];
  await settled();
  expect(runs).toHaveLength(1);
  runs[0]?.resolve();
  await first;
  await settled();
  expect(runs).toHaveLength(2);
  let isDone = false;
  const later = Promise.all([second, third]).then(() => {
    isDone = true;
  });
  await settled();
  expect(isDone).toBe(false);
  runs[1]?.resolve();
  await later;
  expect(runs).toHaveLength(2);
});

test('a failed run fails for the callers that share it, and for no others', async () => {
  const { runs, call } = setUp();
  const [one, two] = [call(), call()];
  await settled();
  const three = call();
  runs[0]?.reject(new Error('unavailable'));
  await expect(one).rejects.toThrow('unavailable');
  await expect(two).rejects.toThrow('unavailable');
  await settled();
  runs[1]?.resolve();
  await expect(three).resolves.toBeUndefined();
});
