// Managed services deny INFO, CLIENT and CONFIG; other logins lack privileges that the service needs.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { LIMIT_COMMANDS, QUEUE_COMMANDS, type RequiredCommand } from '../../src/redis/required-commands.ts';
import { openTestMailbox, startTestApp, testEnvironment } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { mainThreadMs } from '../support/main-thread.ts';
import { registered } from '../support/people.ts';
import { runMain } from '../support/processes.ts';
import { type RedisServer, startRedisCluster, startRedisServer } from '../support/redis-servers.ts';

const PASSWORD = 'b7c1e95d0a2f4e68';

const namesOf = (commands: readonly RequiredCommand[]) => [...new Set(commands.map(([name]) => name))];

/** The privileges in the documentation. */
const DOCUMENTED = /^ACL SETUSER latchkey on >password (?<keys>(?:~\S+ )+)(?<commands>.*)$/m.exec(
  readFileSync('docs/guides/redis.md', 'utf8'),
)?.groups;
const documented = (kind: 'keys' | 'commands') =>
  (DOCUMENTED?.[kind] ?? '')
    .trim()
    .split(' ')
    .map((one) => one.slice(1));

/** Allows these commands alone. Returns the URL of the login. */
async function allow({ admin, port }: RedisServer, commands: string[], keys = ['latchkey:*', '{latchkey}:*']) {
  const rules = ['reset', 'on', `>${PASSWORD}`, ...keys.map((key) => `~${key}`), ...commands.map((name) => `+${name}`)];
  await admin.call('acl', 'setuser', 'managed', ...rules);
  return `redis://managed:${PASSWORD}@127.0.0.1:${port}`;
}

test('a login with only the documented commands is enough for everything', async () => {
  const server = await startRedisServer();
  const commands = documented('commands');
  expect(commands.toSorted()).toEqual(['multi', 'exec', ...namesOf([...LIMIT_COMMANDS, ...QUEUE_COMMANDS])].toSorted());
  const app = await startTestApp({ REDIS_URL: await allow(server, commands, documented('keys')) });
  onTestFinished(() => app.close());
  const call = viaFetch(app.url);
  const person = await registered(call);
  await call(auth.requestReset, { email: person.email });
  await call(auth.login, { email: person.email, password: person.password });
  await call(auth.login, { email: person.email, password: 'wrong one' });
  await eventually(() => app.mailbox.mails.find(({ to }) => to === person.email));
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  expect((await server.admin.keys('latchkey:limit:LOGIN_PAIR:*')).length).toBeGreaterThan(0);
  expect(await (await fetch(`${app.url}/readyz`)).json()).toEqual({ status: 'ready', problems: [], degraded: [] });
  const denied = (await server.admin.call('acl', 'log')) as string[][];
  const objects = denied.map((entry) => entry[entry.indexOf('object') + 1]);
  expect(objects.filter((object) => !/^(info|client\|setname)$/.test(object ?? ''))).toEqual([]);
}, 60_000);

test.each([
  ['serve', 'zremrangebyrank', LIMIT_COMMANDS],
  ['worker', 'bzpopmin', QUEUE_COMMANDS],
  ['worker', 'multi', QUEUE_COMMANDS],
] as const)(
  '%s without %s does not start, and names it',
  async (command, missing, needed) => {
    const server = await startRedisServer();
    const commands = ['multi', 'exec', ...namesOf(needed)].filter((name) => name !== missing);
    const REDIS_URL = await allow(server, commands);
    const environment = await testEnvironment(await mailbox(), { REDIS_URL });
    const started = runMain([command], environment);
    expect(await started.ended).toBe(1);
    expect(started.output()).toContain(`lacks rights: ${missing.toUpperCase()}; allow them with ACL SETUSER`);
    expect(started.output()).not.toContain(PASSWORD);
    expect(await server.admin.dbsize()).toBe(0);
  },
  60_000,
);

test('a login without SELECT does not start with another database, and one without CLUSTER does not start at a cluster', async () => {
  const server = await startRedisServer();
  const [node] = await startRedisCluster();
  for (const [url, missing] of [
    [`${await allow(server, documented('commands'))}/3`, 'SELECT'],
    [(await allow(node as RedisServer, documented('commands'))).replace('redis:', 'redis+cluster:'), 'CLUSTER, ASKING'],
  ] as const) {
    const started = runMain(['worker'], await testEnvironment(await mailbox(), { REDIS_URL: url }));
    expect(await started.ended).toBe(1);
    expect(started.output()).toContain(`lacks rights: ${missing};`);
  }
}, 60_000);

test('the start of a login without access to the keys fails with the names of the keys', async () => {
  const server = await startRedisServer();
  const commands = ['multi', 'exec', ...namesOf(QUEUE_COMMANDS)];
  const REDIS_URL = await allow(server, commands, ['latchkey:*']);
  const started = runMain(['worker'], await testEnvironment(await mailbox(), { REDIS_URL }));
  expect(await started.ended).toBe(1);
  expect(started.output()).toContain('lacks rights: keys {latchkey}:queue:*; ');
}, 60_000);

test('privileges that are revoked from a running worker cause no busy loop, and SIGTERM ends it', async () => {
  const server = await startRedisServer();
  const all = ['multi', 'exec', ...namesOf(QUEUE_COMMANDS)];
  const REDIS_URL = await allow(server, all);
  const box = await mailbox();
  const worker = runMain(['worker'], await testEnvironment(box, { REDIS_URL, SHUTDOWN_GRACE_SECONDS: '2' }));
  await eventually(() => worker.output().includes('started'), 60_000);
  await allow(server, ['bzpopmin']);
  await eventually(() => worker.output().includes('NOPERM'), 30_000);
  const { total_connections_received: before } = await statsOf(server);
  const [startedAt, ranBefore] = [performance.now(), mainThreadMs(worker.child.pid as number)];
  await sleep(6_000);
  expect(mainThreadMs(worker.child.pid as number) - ranBefore).toBeLessThan(3_000);
  const { total_connections_received: after } = await statsOf(server);
  const connectionsPerSecond = (Number(after) - Number(before)) / ((performance.now() - startedAt) / 1000);
  expect(connectionsPerSecond).toBeLessThan(20);
  expect(worker.output().length).toBeLessThan(30_000);
  const stoppedAt = performance.now();
  worker.child.kill('SIGTERM');
  expect(await worker.ended).toBe(0);
  expect(performance.now() - stoppedAt).toBeLessThan(15_000);
}, 90_000);

async function statsOf({ admin }: RedisServer): Promise<Record<string, string>> {
  const lines = (await admin.info('stats')).split('\r\n');
  return Object.fromEntries(lines.map((line) => line.split(':', 2)));
}

async function mailbox() {
  const box = await openTestMailbox();
  onTestFinished(() => box.close());
  return box;
}
