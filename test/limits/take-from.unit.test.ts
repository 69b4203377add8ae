// The rule of limits, with the counter that a process uses while Redis is unavailable. It allows half of the points.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { processCounter } from '../../src/limits/counters.ts';
import { isBudget, LIMITS, pointsWithoutRedis } from '../../src/limits/limits.ts';
import { bucketsOf, takeFrom } from '../../src/limits/take-from.ts';

const WINDOW_SECONDS = 900;
const counterOf = (points: number) => processCounter({ points, windowSeconds: WINDOW_SECONDS });
const one = [{ key: 'a', factor: 1 }];

describe('the buckets of a limit', () => {
  test('by network are the networks of the address, and wider ones have more points', () => {
    expect(bucketsOf('LOGIN_NETWORK', '192.0.2.7')).toEqual([
      { key: '192.0.2.7', factor: 1 },
      { key: '192.0.2.0/24', factor: 1.5 },
    ]);
    expect(bucketsOf('LOGIN_NETWORK', '2001:db8:1:ab02::1')).toEqual([
      { key: '2001:db8:1:ab02::/64', factor: 1 },
      { key: '2001:db8:1:ab00::/56', factor: 1.25 },
      { key: '2001:db8:1::/48', factor: 1.5 },
    ]);
  });

  test('by any other key are one bucket', () => {
    expect(bucketsOf('LOGIN_ACCOUNT', '192.0.2.7')).toEqual([{ key: '192.0.2.7', factor: 1 }]);
  });
});

describe('a counter of this process', () => {
  test('allows half of the points, at least one', () => {
    expect([10, 5, 2, 1].map(pointsWithoutRedis)).toEqual([5, 2, 1, 1]);
    expect(counterOf(10).capacity(1)).toBe(5);
    expect(counterOf(10).capacity(1.25)).toBe(6);
    expect(counterOf(10).store).toBe('process');
  });

  test('counts, gives back what was counted, and nothing below zero', async () => {
    const counter = counterOf(10);
    expect(await counter.read('a')).toEqual({ count: 0, msLeft: 0 });
    expect((await counter.add('a')).count).toBe(1);
    const { count, msLeft } = await counter.add('a');
    expect(count).toBe(2);
    expect(msLeft).toBeGreaterThan(WINDOW_SECONDS * 1000 - 60_000);
    expect(msLeft).toBeLessThanOrEqual(WINDOW_SECONDS * 1000);
    for (let n = 0; n < 3; n += 1) await counter.takeBack('a');
    expect((await counter.add('a')).count).toBe(1);
    expect(await counter.clear('a')).toBe(true);
    expect(await counter.clear('a')).toBe(false);
  });
});

test('a counter of this process has 65,536 buckets, and keys that share one share a limit', async () => {
  const counter = counterOf(10);
  const bucketOf = (key: string) => createHash('sha256').update(key).digest().readUInt32BE() % 65_536;
  let twin = '0';
  while (bucketOf(twin) !== bucketOf('a')) twin = String(Number(twin) + 1);
  await counter.add('a');
  expect((await counter.read(twin)).count).toBe(1);
  expect((await counter.read(`${twin} other`)).count).toBe(0);
});

describe('an attempt', () => {
  test('is allowed up to the limit, and the first one beyond it is marked', async () => {
    const counter = counterOf(4);
    for (let n = 0; n < 2; n += 1) {
      expect(await takeFrom(counter, one, 0)).toMatchObject({
        allowed: true,
        retryAfterMs: 0,
        isFirstRejection: false,
      });
    }
    const first = await takeFrom(counter, one, 0);
    expect(first).toMatchObject({ allowed: false, isFirstRejection: true });
    expect(first.retryAfterMs).toBeGreaterThan(WINDOW_SECONDS * 1000 - 60_000);
    expect(await takeFrom(counter, one, 0)).toMatchObject({ allowed: false, isFirstRejection: false });
  });

  test('that reaches three quarters of the first bucket is marked', async () => {
    const counter = counterOf(16);
    const narrowAndWide = [
      { key: 'near', factor: 1 },
      { key: 'wide', factor: 3 / 2 },
    ];
    const marks: boolean[] = [];
    for (let n = 0; n < 9; n += 1) marks.push((await takeFrom(counter, narrowAndWide, 0)).isNearLimit);
    expect(marks.map(Number).join('')).toBe('000001000');
    expect(
      (
        await takeFrom(
          counter,
          [
            { key: 'other', factor: 1 },
            { key: 'near', factor: 2 },
          ],
          0,
        )
      ).isNearLimit,
    ).toBe(false);
  });

  test('that is given back does not count, and a rejected one gives nothing back', async () => {
    const counter = counterOf(4);
    const taken = await takeFrom(counter, one, 0);
    await taken.giveBack();
    expect((await counter.read('a')).count).toBe(0);
    for (let n = 0; n < 3; n += 1) await (await takeFrom(counter, one, 0)).giveBack();
    for (let n = 0; n < 2; n += 1) await takeFrom(counter, one, 0);
    const rejected = await takeFrom(counter, one, 0);
    const { count } = await counter.read('a');
    await rejected.giveBack();
    expect((await counter.read('a')).count).toBe(count);
  });

  test('that a wider bucket rejects takes no point of the narrower one', async () => {
    const counter = counterOf(4);
    const buckets = [
      { key: 'narrow', factor: 1 },
      { key: 'wide', factor: 1 },
    ];
    for (let n = 0; n < 2; n += 1) await counter.add('wide');
    expect(await takeFrom(counter, buckets, 0)).toMatchObject({ allowed: false });
    expect((await counter.read('narrow')).count).toBe(0);
  });
});

describe('an exceeded budget', () => {
  test('leaves a quarter of the points, rounded up', async () => {
    const counter = counterOf(20);
    for (let n = 0; n < 3; n += 1) expect((await takeFrom(counter, one, 5_000)).allowed).toBe(true);
    expect((await takeFrom(counter, one, 5_000)).allowed).toBe(false);
  });

  test('rejects until it ends, and takes no point for it', async () => {
    const counter = counterOf(20);
    for (let n = 0; n < 3; n += 1) await takeFrom(counter, one, 5_000);
    expect(await takeFrom(counter, one, 5_000)).toMatchObject({
      allowed: false,
      retryAfterMs: 5_000,
      isFirstRejection: false,
    });
    expect((await counter.read('a')).count).toBe(3);
    expect((await takeFrom(counter, one, 0)).allowed).toBe(true);
  });

  test('takes no point of a bucket that has one left', async () => {
    const counter = counterOf(8);
    for (let n = 0; n < 3; n += 1) await takeFrom(counter, one, 0);
    expect(await takeFrom(counter, one, 5_000)).toMatchObject({
      allowed: false,
      retryAfterMs: 5_000,
      isFirstRejection: false,
    });
    expect((await counter.read('a')).count).toBe(3);
  });

  test('takes back points of the counted buckets only', async () => {
    const counter = counterOf(8);
    const takenBack: string[] = [];
    const recording = { ...counter, takeBack: async (key: string) => void takenBack.push(key) };
    await (await takeFrom(recording, one, 0)).giveBack();
    expect(takenBack).toEqual(['a']);
  });

  test('beyond the whole bucket is a rejection of the limit', async () => {
    const counter = counterOf(4);
    for (let n = 0; n < 2; n += 1) await takeFrom(counter, one, 0);
    const { retryAfterMs, isFirstRejection } = await takeFrom(counter, one, 5_000);
    expect(isFirstRejection).toBe(true);
    expect(retryAfterMs).toBeGreaterThan(5_000);
  });

  test('is a limit whose name begins with GLOBAL_', () => {
    const budgets = (Object.keys(LIMITS) as (keyof typeof LIMITS)[]).filter(isBudget);
    expect(budgets).toEqual(['GLOBAL_SIGN_INS', 'GLOBAL_SIGN_UPS', 'GLOBAL_MAILS', 'GLOBAL_MAIL_DOMAIN']);
  });
});

test('the limits that the documentation names have the promised points and windows', () => {
  const promised = { LOGIN_ACCOUNT: [5, 900], LOGIN_PAIR: [5, 900], LOGIN_NETWORK: [100, 900] } as const;
  for (const [name, [points, windowSeconds]] of Object.entries(promised)) {
    expect(LIMITS[name as keyof typeof promised]).toMatchObject({ points, windowSeconds });
  }
  expect(LIMITS.REQUEST_RESET_ACCOUNT).toMatchObject({ points: 3, windowSeconds: 3_600 });
  expect(LIMITS.DENIED_AUDIT).toMatchObject({ points: 20, windowSeconds: 900 });
});
