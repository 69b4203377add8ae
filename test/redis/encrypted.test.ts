// TLS, passwords of servers, and passwords of the Sentinels themselves.
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { openCertificates } from '../support/certificates.ts';
import { runMain } from '../support/processes.ts';
import {
  type Access,
  startRedisCluster,
  startRedisPair,
  startRedisServer,
  startSentinels,
} from '../support/redis-servers.ts';

const PASSWORD = 'b7c1e95d0a2f4e68';
let access: Access;

beforeAll(async () => {
  const certificates = await openCertificates();
  const authority = certificates.make('authority', 'DNS:authority');
  access = { password: PASSWORD, authority, server: certificates.make('redis', 'IP:127.0.0.1', authority) };
  return () => certificates.remove();
});

async function redisFindings(REDIS_URL: string, trusted = true): Promise<string[]> {
  const mailbox = await openTestMailbox();
  onTestFinished(() => mailbox.close());
  const environment = await testEnvironment(mailbox, {
    REDIS_URL,
    NODE_EXTRA_CA_CERTS: trusted ? access.authority.certFile : undefined,
  });
  const running = runMain(['doctor', '--json'], environment);
  await running.ended;
  expect(running.output()).not.toContain(PASSWORD);
  const findings: { check: string; state: string; result: string }[] = JSON.parse(
    running
      .output()
      .split('\n')
      .find((line) => line.startsWith('[')) as string,
  );
  return findings.filter(({ check }) => check === 'redis').map(({ state, result }) => `${state}: ${result}`);
}

test('one server', async () => {
  const { port } = await startRedisServer([], access);
  expect(await redisFindings(`rediss://:${PASSWORD}@127.0.0.1:${port}`)).toEqual(['ok: answers']);
  expect(await redisFindings(`rediss://:${PASSWORD}@127.0.0.1:${port}`, false)).toEqual([
    expect.stringMatching(/^failed: .*certificate/),
  ]);
  expect(await redisFindings(`rediss://:another@127.0.0.1:${port}`)).toEqual([
    expect.stringMatching(/^failed: WRONGPASS/),
  ]);
}, 60_000);

test('Sentinels', async () => {
  const [primary] = await startRedisPair(access);
  const ports = await startSentinels(1, 'main', primary, access);
  const at = (query: string) => `rediss+sentinel://:${PASSWORD}@127.0.0.1:${ports[0]}/main${query}`;
  expect(await redisFindings(at(`?sentinel_password=${PASSWORD}`))).toEqual([
    'ok: answers, the primary that the Sentinels name',
  ]);
  expect(await redisFindings(at(''))).toEqual([expect.stringMatching(/^failed: .*NOAUTH/)]);
}, 60_000);

test('a cluster', async () => {
  const nodes = await startRedisCluster(access);
  const hosts = nodes.map(({ port }) => `127.0.0.1:${port}`).join();
  expect(await redisFindings(`rediss+cluster://:${PASSWORD}@${hosts}`)).toEqual([
    'ok: answers, a cluster of 3 primaries',
  ]);
  expect(await redisFindings(`rediss+cluster://:${PASSWORD}@${hosts}`, false)).toEqual([
    expect.stringMatching(/^failed: /),
  ]);
}, 60_000);
