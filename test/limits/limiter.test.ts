import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createLimiter, type Limiter } from '../../src/limits/limiter.ts';
import { LIMITS } from '../../src/limits/limits.ts';
import { impatient, openRedis } from '../../src/redis/open-redis.ts';
import { createTestRedis } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';

const limits = {
  ...LIMITS,
  LOGIN_PAIR: { points: 6, windowSeconds: 2 },
  GLOBAL_MAIL_DOMAIN: { points: 3, windowSeconds: 2 },
};

async function open(url: string): Promise<{ limiter: Limiter; redis: Redis; fallbacks: unknown[] }> {
  const redis = openRedis(url, impatient(500), () => {}) as Redis;
  onTestFinished(() => redis.disconnect());
  const fallbacks: unknown[] = [];
  return { limiter: createLimiter(redis, limits, { onFallback: (error) => fallbacks.push(error) }), redis, fallbacks };
}

async function takeMany(limiter: Limiter, key: string, times: number) {
  const taken = await Promise.all(Array.from({ length: times }, () => limiter.take('LOGIN_PAIR', key)));
  return {
    allowed: taken.filter((one) => one.allowed).length,
    first: taken.filter((one) => one.isFirstRefusal).length,
    taken,
  };
}

describe('with Redis', () => {
  let limiter: Limiter;
  let redis: Redis;
  beforeEach(async () => {
    const opened = await open(await createTestRedis());
    ({ limiter, redis } = opened);
    await eventually(() => redis.status === 'ready');
  });

  test('lets as many through as the limit says, of however many at once, and tells when to come back', async () => {
    const { allowed, first, taken } = await takeMany(limiter, randomUUID(), 500);
    expect([allowed, first]).toEqual([6, 1]);
    const refusal = taken.find((one) => !one.allowed);
    expect(refusal?.retryAfterMs).toBeGreaterThan(0);
    expect(refusal?.retryAfterMs).toBeLessThanOrEqual(2_000);
  });

  test('opens again when the window is over, however many were refused in it', async () => {
    const key = randomUUID();
    await takeMany(limiter, key, 50);
    const again = await eventually(async () => (await limiter.take('LOGIN_PAIR', key)).allowed, 5_000);
    expect(again).toBe(true);
  });

  test('shares its counts with every process', async () => {
    const key = randomUUID();
    const other = await open(urlOf(redis));
    await eventually(() => other.redis.status === 'ready');
    await takeMany(limiter, key, 3);
    expect((await takeMany(other.limiter, key, 10)).allowed).toBe(3);
  });

  test('gives an attempt back', async () => {
    const key = randomUUID();
    const { taken } = await takeMany(limiter, key, 6);
    await taken[0]?.giveBack();
    expect((await takeMany(limiter, key, 5)).allowed).toBe(1);
  });

  test('gives nothing back to a window that the attempt was not counted in', async () => {
    const key = randomUUID();
    const { taken } = await takeMany(limiter, key, 6);
    await limiter.clear('LOGIN_PAIR', key);
    await Promise.all(taken.map((one) => one.giveBack()));
    expect((await takeMany(limiter, key, 20)).allowed).toBe(6);
  });

  test('leaves a quarter of the points while a budget is exceeded, and counts no refusal of that kind', async () => {
    const key = randomUUID();
    const tightened = async () => (await limiter.take('LOGIN_PAIR', key, 1_000)).allowed;
    expect([await tightened(), await tightened(), await tightened(), await tightened()]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect((await limiter.take('LOGIN_PAIR', key, 100)).retryAfterMs).toBeLessThanOrEqual(100);
    expect((await takeMany(limiter, key, 20)).allowed).toBe(4);
  });

  test('a budget is exceeded from the first attempt beyond it until its window is over, at every process', async () => {
    const other = await open(urlOf(redis));
    await eventually(() => other.redis.status === 'ready');
    const key = randomUUID();
    for (let n = 0; n < 3; n += 1) await limiter.take('GLOBAL_MAIL_DOMAIN', key);
    expect(await other.limiter.exceededForMs('GLOBAL_MAIL_DOMAIN', key)).toBe(0);
    expect(await limiter.take('GLOBAL_MAIL_DOMAIN', key)).toMatchObject({ allowed: false, isFirstRefusal: true });
    expect(await limiter.take('GLOBAL_MAIL_DOMAIN', key)).toMatchObject({ allowed: false, isFirstRefusal: false });
    const left = await other.limiter.exceededForMs('GLOBAL_MAIL_DOMAIN', key);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(2_000);
    expect(await eventually(async () => (await other.limiter.exceededForMs('GLOBAL_MAIL_DOMAIN', key)) === 0)).toBe(
      true,
    );
  });

  test('remembers where an account signed in from', async () => {
    const account = randomUUID();
    expect(await limiter.knowsPlace(account, '192.0.2.1')).toBe(false);
    await limiter.rememberPlace(account, '192.0.2.1');
    expect(await limiter.knowsPlace(account, '192.0.2.1')).toBe(true);
    expect(await limiter.knowsPlace(account, '192.0.2.2')).toBe(false);
    await limiter.rememberPlace(account, '192.0.2.9');
    await limiter.forgetNetworks(account, { allBut: '192.0.2.1' });
    expect(await limiter.knowsPlace(account, '192.0.2.1')).toBe(true);
    expect(await limiter.knowsPlace(account, '192.0.2.9')).toBe(false);
    await limiter.forgetNetworks(account, { allBut: null });
    expect(await limiter.knowsPlace(account, '192.0.2.1')).toBe(false);
  });
});

describe('without Redis', () => {
  test('counts in this process, by half the points, and says so', async () => {
    const { limiter, fallbacks } = await open('redis://127.0.0.1:1');
    expect((await takeMany(limiter, randomUUID(), 100)).allowed).toBe(3);
    expect(await limiter.knowsPlace('a', 'b')).toBe(false);
    await limiter.rememberPlace('a', 'b');
    expect(fallbacks.length).toBeGreaterThan(0);
  });

  test('a key that was given back counts one less', async () => {
    const { limiter } = await open('redis://127.0.0.1:1');
    const key = randomUUID();
    const { allowed, taken } = await takeMany(limiter, key, 5);
    expect(allowed).toBe(3);
    await Promise.all(taken.slice(0, 3).map((one) => one.giveBack()));
    expect((await takeMany(limiter, key, 5)).allowed).toBe(1);
  });

  test('a finished window gets nothing back', async () => {
    const { limiter } = await open('redis://127.0.0.1:1');
    const key = randomUUID();
    const { taken } = await takeMany(limiter, key, 3);
    await limiter.clear('LOGIN_PAIR', key);
    await Promise.all(taken.map((one) => one.giveBack()));
    expect((await takeMany(limiter, key, 20)).allowed).toBe(3);
  });

  test('the networks of an address and budgets are counted too', async () => {
    const { limiter } = await open('redis://127.0.0.1:1');
    const from = async (n: number) => (await limiter.take('VERIFY_EMAIL_NETWORK', `2001:db8:${n}::1`)).allowed;
    expect(
      await Promise.all(Array.from({ length: 100 }, () => from(1))).then((all) => all.filter(Boolean)),
    ).toHaveLength(15);
    expect(await from(2)).toBe(true);
    for (let n = 0; n < 2; n += 1) await limiter.take('GLOBAL_MAIL_DOMAIN', 'example.com');
    expect(await limiter.exceededForMs('GLOBAL_MAIL_DOMAIN', 'example.com')).toBeGreaterThan(0);
    expect(await limiter.exceededForMs('GLOBAL_MAIL_DOMAIN', 'example.org')).toBe(0);
  });
});

function urlOf(redis: Redis): string {
  const { host, port, password, db } = redis.options;
  return `redis://:${password}@${host}:${port}/${db}`;
}
