// A cluster of three primaries: each count is at the node of its slot, and the queues are in one slot.
import { expect, onTestFinished, test } from 'vitest';
import { createAccountNetworks } from '../../src/limits/account-networks.ts';
import { createKnownNetworks } from '../../src/limits/known-networks.ts';
import { createLimiter } from '../../src/limits/limiter.ts';
import { LIMITS } from '../../src/limits/limits.ts';
import { createRedisFallback } from '../../src/limits/redis-fallback.ts';
import { connectRedis, failFast } from '../../src/redis/connect-redis.ts';
import { startTestApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type Person, registered } from '../support/people.ts';
import { addClusterReplica, moveSlot, type RedisServer, startRedisCluster } from '../support/redis-servers.ts';

/** The slot of all queues, and the node that has it. */
async function queuesOf(nodes: RedisServer[]): Promise<{ slot: number; home: RedisServer }> {
  const slot = Number(await nodes[0]?.admin.call('cluster', 'keyslot', '{latchkey}:queue:mail:wait'));
  return { slot, home: nodes[Math.floor(slot / 5461)] as RedisServer };
}

const urlOf = (nodes: RedisServer[]) => `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join()}`;

test('mail is sent, also while the slot of the queues moves to another node', async () => {
  const nodes = await startRedisCluster();
  const app = await startTestApp({ REDIS_URL: urlOf(nodes) });
  onTestFinished(() => app.close());
  const call = viaFetch(app.url);
  const people: Person[] = [];
  for (let n = 0; n < 4; n += 1) people.push(await registered(call));
  const { slot, home } = await queuesOf(nodes);
  const next = nodes.find((node) => node !== home) as RedisServer;
  const mailed = (from: number, to: number) =>
    people.slice(from, to).every(({ email }) => app.mailbox.mails.some((mail) => mail.to === email));
  const ask = (from: number, to: number) =>
    Promise.all(people.slice(from, to).map(({ email }) => call(auth.requestReset, { email })));

  await ask(0, 2);
  await eventually(() => mailed(0, 2), 15_000);
  const moved = moveSlot(slot, home, next, nodes);
  await ask(2, 3);
  await moved;
  await ask(3, 4);
  await eventually(() => mailed(2, 4), 30_000);
  expect(await next.admin.keys('{latchkey}:queue:mail:*')).not.toEqual([]);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0, 15_000);
  expect(await (await fetch(`${app.url}/readyz`)).json()).toMatchObject({ status: 'ready', degraded: [] });
}, 120_000);

test('mail is sent after the node of the queues has vanished and its replica was promoted', async () => {
  const nodes = await startRedisCluster();
  const { home } = await queuesOf(nodes);
  const replica = await addClusterReplica(home);
  const app = await startTestApp({ REDIS_URL: urlOf(nodes) });
  onTestFinished(() => app.close());
  const call = viaFetch(app.url);
  const [before, after] = [await registered(call), await registered(call)];
  const isMailed = ({ email }: Person) => app.mailbox.mails.some(({ to }) => to === email);
  await call(auth.requestReset, { email: before.email });
  await eventually(() => isMailed(before), 15_000);
  home.freeze();
  expect((await call(auth.requestReset, { email: after.email })).code).toBe('ok');
  await eventually(async () => (await replica.admin.info('replication')).includes('role:master'), 30_000);
  await eventually(() => isMailed(after), 30_000);
}, 120_000);

test('every command of the limits works in a cluster', async () => {
  const nodes = await startRedisCluster();
  const redis = connectRedis(urlOf(nodes), failFast(1_000), () => {});
  onTestFinished(() => redis.disconnect());
  await eventually(() => redis.status === 'ready');
  const fallbacks: unknown[] = [];
  const limits = { ...LIMITS, LOGIN_PAIR: { points: 2, windowSeconds: 60 } };
  const fallback = createRedisFallback({ timeoutMs: 1_000, onFailure: (error) => fallbacks.push(error) });
  const limiter = createLimiter({
    redis,
    fallback,
    limits,
    accountNetworks: createAccountNetworks(redis, () => new Date()),
  });
  const knownNetworks = createKnownNetworks({ redis, fallback, now: () => new Date() });
  for (let n = 0; n < 20; n += 1) {
    const key = `person-${n}`;
    await (await limiter.take('LOGIN_PAIR', key)).giveBack();
    const allowed = [1, 2, 3].map(async () => (await limiter.take('LOGIN_PAIR', key)).allowed);
    expect(await Promise.all(allowed)).toEqual([true, true, false]);
    expect(await limiter.clear('LOGIN_PAIR', key)).toBe(true);
    expect(await limiter.exceededForMs('GLOBAL_MAILS', key)).toBe(0);
    await knownNetworks.remember(key, '192.0.2.1');
    await knownNetworks.remember(key, '192.0.2.2');
    await knownNetworks.forget(key, { allBut: '192.0.2.1' });
    expect([await knownNetworks.isKnown(key, '192.0.2.1'), await knownNetworks.isKnown(key, '192.0.2.2')]).toEqual([
      true,
      false,
    ]);
  }
  await limiter.take('REGISTER_NETWORK', '2001:db8::1');
  expect(fallbacks).toEqual([]);
  for (const { admin } of nodes) expect(await admin.dbsize()).toBeGreaterThan(0);
}, 90_000);
