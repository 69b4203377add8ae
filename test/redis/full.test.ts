// A Redis over its maxmemory, and one that evicts: limits are counted in the process, mail waits, and doctor and readiness report it.
import { expect, onTestFinished, test } from 'vitest';
import type { Environment } from '../../src/config/config.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { layCable, through } from '../support/cable.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, registeredCrowd } from '../support/people.ts';
import { runMain } from '../support/processes.ts';
import { startRedisPair, startRedisServer } from '../support/redis-servers.ts';

async function startOn(REDIS_URL: string, overrides: Environment = {}): Promise<TestApp> {
  const app = await startTestApp({ REDIS_URL, ...overrides });
  onTestFinished(() => app.close());
  return app;
}

async function readinessOf({ url }: TestApp) {
  const response = await fetch(`${url}/readyz`);
  return { code: response.status, ...((await response.json()) as { problems: string[]; degraded: string[] }) };
}

async function doctor(environment: Environment) {
  const running = runMain(['doctor', '--json'], environment);
  const exit = await running.ended;
  const findings: { check: string; state: string; result: string }[] = JSON.parse(
    running.output().split('\n')[0] as string,
  );
  return {
    exit,
    of: (check: string) => findings.filter((one) => one.check === check).map((one) => `${one.state}: ${one.result}`),
  };
}

test('over maxmemory attempts are counted in the process, and mail and audit events wait until there is room', async () => {
  const server = await startRedisServer();
  const app = await startOn(server.url, { LIMIT_LOGIN_PAIR: '4/900' });
  const call = viaFetch(app.url);
  const person = await registered(call);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  expect((await readinessOf(app)).degraded).toEqual([]);

  await server.admin.config('SET', 'maxmemory', '1');
  const codes = [];
  for (let n = 0; n < 3; n += 1) {
    codes.push((await call(auth.login, { email: person.email, password: 'wrong one' })).code);
  }
  expect(codes).toEqual(['unauthenticated', 'unauthenticated', 'resource_exhausted']);
  expect((await call(auth.requestReset, { email: person.email })).code).toBe('ok');
  const readiness = await eventually(async () => {
    const seen = await readinessOf(app);
    return seen.degraded.length > 0 ? seen : null;
  });
  expect(readiness).toMatchObject({ code: 200, problems: [], degraded: [expect.stringMatching(/^Redis is full/)] });
  const full = await doctor(app.environment);
  expect(full.exit).toBe(1);
  expect(full.of('redis memory')).toEqual([expect.stringMatching(/^failed: full: \d+ MiB in use of 0 MiB$/)]);
  expect(app.mailbox.mails.filter(({ subject }) => subject === 'Set a new password')).toEqual([]);
  const { rows } = await app.owner.query('SELECT count(*)::int AS n FROM outbox WHERE dead_at IS NULL');
  expect(rows[0].n).toBeGreaterThan(1);

  await server.admin.config('SET', 'maxmemory', '0');
  await eventually(() => app.mailbox.mails.find(({ subject }) => subject === 'Set a new password'), 20_000);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0, 20_000);
}, 120_000);

test('a Redis that becomes full while jobs are running does not lose one, and causes no busy loop', async () => {
  const server = await startRedisServer();
  const app = await startOn(server.url);
  const call = viaFetch(app.url);
  const first = await registered(call);
  const registering = registeredCrowd(call, 30);
  await server.admin.config('SET', 'maxmemory', '1');
  const people = [first, ...(await registering)];
  const received = async () => Number(/total_commands_processed:(\d+)/.exec(await server.admin.info('stats'))?.[1]);
  const [before, startedAt] = [await received(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  expect((await received()) - before).toBeLessThan((performance.now() - startedAt) / 2);
  expect(app.logs.some((line) => line.includes('OOM'))).toBe(true);
  await server.admin.config('SET', 'maxmemory', '0');
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0, 60_000);
  const { rows } = await app.owner.query("SELECT count(*)::int AS n FROM audit_events WHERE type = 'registered'");
  expect(rows[0].n).toBe(people.length);
}, 120_000);

test('a policy that evicts, a replica and a silent Redis make the service degraded, not unready', async () => {
  const [primary, replica] = await startRedisPair();
  const cable = await layCable(primary.port);
  onTestFinished(() => cable.close());
  const app = await startOn(through(primary.url, cable.port));
  await primary.admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await eventually(async () => (await readinessOf(app)).degraded.join().includes('allkeys-lru'));
  expect((await doctor(app.environment)).of('redis eviction')).toEqual([
    'failed: allkeys-lru: Redis can remove counts and jobs',
  ]);
  expect((await doctor({ ...app.environment, REDIS_URL: replica.url })).of('redis role')).toEqual([
    'failed: a replica, which accepts no writes',
  ]);
  cable.mode = 'silent';
  const silent = await eventually(async () => {
    const askedAt = performance.now();
    const seen = await readinessOf(app);
    return seen.degraded.join().includes('does not answer') ? { ...seen, ms: performance.now() - askedAt } : null;
  }, 20_000);
  expect(silent).toMatchObject({ code: 200, problems: [] });
  expect(silent.ms).toBeLessThan(4_000);
}, 120_000);

test('doctor names the checks that it could not make', async () => {
  const server = await startRedisServer();
  await server.admin.call('acl', 'setuser', 'managed', 'on', '>a-password-of-tests', '~*', '+@all');
  const REDIS_URL = `redis://managed:a-password-of-tests@127.0.0.1:${server.port}`;
  const app = await startOn(REDIS_URL);
  await server.admin.call('acl', 'setuser', 'managed', '-config', '-info', '-time', '-client');
  const { exit, of } = await doctor(app.environment);
  expect(exit).toBe(0);
  expect(of('redis')).toEqual(['ok: answers']);
  expect(of('redis rights')).toEqual(['ok: every command is allowed']);
  expect(of('redis role')).toEqual(['ok: primary']);
  expect(of('redis memory')).toEqual(['warning: not checked: this login may not run INFO']);
  expect(of('redis eviction')).toEqual(['warning: not checked: this login may not run INFO or CONFIG']);
  expect(of('redis persistence')).toEqual(['warning: not checked: this login may not run INFO']);
  expect(of('clock against Redis')).toEqual(['warning: not checked: this login may not run TIME']);
  await server.admin.call('acl', 'setuser', 'managed', '-bzpopmin');
  expect((await doctor(app.environment)).of('redis rights')).toEqual([
    expect.stringMatching(/^failed: .* lacks rights: BZPOPMIN;/),
  ]);
}, 90_000);
