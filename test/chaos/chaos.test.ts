// Five of the faults of `npm run chaos`.
import { afterAll, expect, test } from 'vitest';
import { faultNamed } from './faults/catalogue.ts';
import { createFaultRunner } from './run-faults.ts';

const CHOSEN = ['worker-stopped', 'connections-cut', 'postgres-crashed', 'redis-clients-killed', 'smtp-dropping'];
const TIMEOUT_MS = 240_000;

const runner = createFaultRunner();
afterAll(() => runner.stop());

test.each(CHOSEN)(
  '%s: nothing is lost, duplicated, invented or wrong',
  async (name) => {
    const { acknowledged, lost, duplicated, invented, wrong, isClean } = await runner.run(faultNamed(name));
    expect({ lost, duplicated, invented, wrong }).toEqual({ lost: [], duplicated: [], invented: [], wrong: [] });
    expect(acknowledged).toBeGreaterThan(50);
    expect(isClean).toBe(true);
  },
  TIMEOUT_MS,
);
