import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createAccountNetworks } from '../../src/limits/account-networks.ts';
import { createKnownNetworks, type KnownNetworks } from '../../src/limits/known-networks.ts';
import { createLimiter, type Limiter } from '../../src/limits/limiter.ts';
import { LIMITS } from '../../src/limits/limits.ts';
import { createRedisFallback } from '../../src/limits/redis-fallback.ts';
import { connectRedis, failFast } from '../../src/redis/connect-redis.ts';
import { createTestRedis } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';

const limits = {
  ...LIMITS,
  LOGIN_PAIR: { points: 6, windowSeconds: 2 },
  GLOBAL_MAIL_DOMAIN: { points: 3, windowSeconds: 2 },
};

async function connect(url: string) {
  const redis = connectRedis(url, failFast(500), () => {}) as Redis;
  onTestFinished(() => redis.disconnect());
  const failures: unknown[] = [];
  const fallback = createRedisFallback({ timeoutMs: 1_000, onFailure: (error) => failures.push(error) });
  const limiter = createLimiter({
    redis,
    fallback,
    limits,
    accountNetworks: createAccountNetworks(redis, () => new Date()),
  });
  const knownNetworks = createKnownNetworks({ redis, fallback, now: () => new Date() });
  return { limiter, knownNetworks, redis, failures };
}

async function takeMany(limiter: Limiter, key: string, times: number) {
  const taken = await Promise.all(Array.from({ length: times }, () => limiter.take('LOGIN_PAIR', key)));
  return {
    allowed: taken.filter((result) => result.allowed).length,
    first: taken.filter((result) => result.isFirstRejection).length,
    taken,
  };
}

describe('with Redis', () => {
  let limiter: Limiter;
  let knownNetworks: KnownNetworks;
  let redis: Redis;
  beforeEach(async () => {
    ({ limiter, knownNetworks, redis } = await connect(await createTestRedis()));
    await eventually(() => redis.status === 'ready');
  });

  test('a limit allows its number of attempts, also in parallel, and the rejection states when to retry', async () => {
    const { allowed, first, taken } = await takeMany(limiter, randomUUID(), 500);
    expect([allowed, first]).toEqual([6, 1]);
    const rejection = taken.find((result) => !result.allowed);
    expect(rejection?.retryAfterMs).toBeGreaterThan(0);
    expect(rejection?.retryAfterMs).toBeLessThanOrEqual(2_000);
  });

  test('attempts are allowed again in the next window, also after many rejections in the last one', async () => {
    const key = randomUUID();
    await takeMany(limiter, key, 50);
    const again = await eventually(async () => (await limiter.take('LOGIN_PAIR', key)).allowed, 5_000);
    expect(again).toBe(true);
  });

  test('all processes share the counts', async () => {
    const key = randomUUID();
    const other = await connect(urlOf(redis));
    await eventually(() => other.redis.status === 'ready');
    await takeMany(limiter, key, 3);
    expect((await takeMany(other.limiter, key, 10)).allowed).toBe(3);
  });

  test('an attempt that is given back frees one attempt', async () => {
    const key = randomUUID();
    const { taken } = await takeMany(limiter, key, 6);
    await taken[0]?.giveBack();
    expect((await takeMany(limiter, key, 5)).allowed).toBe(1);
  });

  test('an attempt is not given back to a window that did not count it', async () => {
    const key = randomUUID();
    const { taken } = await takeMany(limiter, key, 6);
    await limiter.clear('LOGIN_PAIR', key);
    await Promise.all(taken.map((one) => one.giveBack()));
    expect((await takeMany(limiter, key, 20)).allowed).toBe(6);
  });

  test('an exceeded budget leaves a quarter of the points, and its rejections take no points', async () => {
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

  test('a budget is exceeded in all processes from the first attempt beyond it until its window ends', async () => {
    const other = await connect(urlOf(redis));
    await eventually(() => other.redis.status === 'ready');
    const key = randomUUID();
    for (let n = 0; n < 3; n += 1) await limiter.take('GLOBAL_MAIL_DOMAIN', key);
    expect(await other.limiter.exceededForMs('GLOBAL_MAIL_DOMAIN', key)).toBe(0);
    expect(await limiter.take('GLOBAL_MAIL_DOMAIN', key)).toMatchObject({ allowed: false, isFirstRejection: true });
    expect(await limiter.take('GLOBAL_MAIL_DOMAIN', key)).toMatchObject({ allowed: false, isFirstRejection: false });
    const left = await other.limiter.exceededForMs('GLOBAL_MAIL_DOMAIN', key);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(2_000);
    expect(await eventually(async () => (await other.limiter.exceededForMs('GLOBAL_MAIL_DOMAIN', key)) === 0)).toBe(
      true,
    );
  });

  test('the networks that an account signed in from are known until they are forgotten', async () => {
    const account = randomUUID();
    expect(await knownNetworks.isKnown(account, '192.0.2.1')).toBe(false);
    await knownNetworks.remember(account, '192.0.2.1');
    expect(await knownNetworks.isKnown(account, '192.0.2.1')).toBe(true);
    expect(await knownNetworks.isKnown(account, '192.0.2.2')).toBe(false);
    await knownNetworks.remember(account, '192.0.2.9');
    await knownNetworks.forget(account, { allBut: '192.0.2.1' });
    expect(await knownNetworks.isKnown(account, '192.0.2.1')).toBe(true);
    expect(await knownNetworks.isKnown(account, '192.0.2.9')).toBe(false);
    await knownNetworks.forget(account, { allBut: null });
    expect(await knownNetworks.isKnown(account, '192.0.2.1')).toBe(false);
  });
});

describe('without Redis', () => {
  test('each process allows half of the points, and the failure of Redis is reported', async () => {
    const { limiter, knownNetworks, failures } = await connect('redis://127.0.0.1:1');
    expect((await takeMany(limiter, randomUUID(), 100)).allowed).toBe(3);
    expect(await knownNetworks.isKnown('a', 'b')).toBe(false);
    await knownNetworks.remember('a', 'b');
    expect(failures.length).toBeGreaterThan(0);
  });

  test('an attempt that is given back frees one attempt', async () => {
    const { limiter } = await connect('redis://127.0.0.1:1');
    const key = randomUUID();
    const { allowed, taken } = await takeMany(limiter, key, 5);
    expect(allowed).toBe(3);
    await Promise.all(taken.slice(0, 3).map((one) => one.giveBack()));
    expect((await takeMany(limiter, key, 5)).allowed).toBe(1);
  });

  test('an attempt is not given back to a window that did not count it', async () => {
    const { limiter } = await connect('redis://127.0.0.1:1');
    const key = randomUUID();
    const { taken } = await takeMany(limiter, key, 3);
    await limiter.clear('LOGIN_PAIR', key);
    await Promise.all(taken.map((one) => one.giveBack()));
    expect((await takeMany(limiter, key, 20)).allowed).toBe(3);
  });

  test('each network of an address and each budget is counted', async () => {
    const { limiter } = await connect('redis://127.0.0.1:1');
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
