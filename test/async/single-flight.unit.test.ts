import { expect, test } from 'vitest';
import { coalesced } from '../../src/async/single-flight.ts';

/** Work that ends when it is told to. */
function setUp() {
  const runs: PromiseWithResolvers<void>[] = [];
  const ask = coalesced(() => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  });
  return { runs, ask };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('who asks while it runs gets a run that was begun after they asked, and shares it', async () => {
  const { runs, ask } = setUp();
  const first = ask();
  await settled();
  expect(runs).toHaveLength(1);
  const [second, third] = [ask(), ask()];
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

test('a run that fails fails for those who shared it, and nobody else', async () => {
  const { runs, ask } = setUp();
  const [one, two] = [ask(), ask()];
  await settled();
  const three = ask();
  runs[0]?.reject(new Error('away'));
  await expect(one).rejects.toThrow('away');
  await expect(two).rejects.toThrow('away');
  await settled();
  runs[1]?.resolve();
  await expect(three).resolves.toBeUndefined();
});
