// The harness finds planted bugs: all that can run together, in one row.
import { afterAll, expect, test } from 'vitest';
import { createFaultRunner } from './run-faults.ts';
import { SABOTAGES, whyUnnoticed } from './sabotages.ts';
import { sabotaged } from './self-test.ts';

const runner = createFaultRunner();
afterAll(() => runner.stop());

test('each planted bug is found in the column that it belongs to', async () => {
  const row = await runner.run(sabotaged('everything', SABOTAGES));
  expect(SABOTAGES.flatMap((sabotage) => whyUnnoticed(row, sabotage) ?? [])).toEqual([]);
  expect(row.isClean).toBe(false);
}, 240_000);
