import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { atMostEvery, rateGate } from '../../src/async/rate-gate.ts';

const WINDOW_MS = 200;

test('a rate gate lets as many through in each window as it has passes', async () => {
  const mayPass = rateGate({ passes: 2, windowMs: WINDOW_MS });
  const inOneWindow = () => Array.from({ length: 4 }, mayPass);
  expect(inOneWindow()).toEqual([true, true, false, false]);
  await sleep(WINDOW_MS + 20);
  expect(inOneWindow()).toEqual([true, true, false, false]);
});

test('a throttled function drops the calls between and passes the next value on', async () => {
  const values: string[] = [];
  const call = atMostEvery(WINDOW_MS, (value: string) => values.push(value));
  for (const value of ['first', 'second', 'third']) call(value);
  await sleep(WINDOW_MS + 20);
  call('fourth');
  expect(values).toEqual(['first', 'fourth']);
});
