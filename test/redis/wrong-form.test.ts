// A URL whose form does not fit the server would connect, but no mail would ever be sent. It is rejected.
import { expect, onTestFinished, test } from 'vitest';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { runMain } from '../support/processes.ts';
import { startRedisCluster, startRedisPair, startRedisServer, startSentinels } from '../support/redis-servers.ts';

async function refusalOf(REDIS_URL: string): Promise<string[]> {
  const mailbox = await openTestMailbox();
  onTestFinished(() => mailbox.close());
  const environment = await testEnvironment(mailbox, { REDIS_URL });
  const runs = ['serve', 'worker', 'doctor'].map((command) => runMain([command], environment));
  expect(await Promise.all(runs.map(({ ended }) => ended))).toEqual([1, 1, 1]);
  return runs.map(({ output }) => output());
}

test('redis:// at a node of a cluster', async () => {
  const [node] = await startRedisCluster();
  for (const output of await refusalOf(node?.url ?? '')) {
    expect(output).toContain('REDIS_URL leads to a node of a cluster: write redis+cluster://host:6379,host:6379');
  }
}, 60_000);

test('redis+cluster:// at one server', async () => {
  const { port } = await startRedisServer();
  for (const output of await refusalOf(`redis+cluster://127.0.0.1:1,127.0.0.1:${port}`)) {
    expect(output).toContain('REDIS_URL leads to one server: begin the URL with redis:// or rediss://');
  }
}, 60_000);

test('redis:// at a Sentinel', async () => {
  const [primary] = await startRedisPair();
  const [port] = await startSentinels(1, 'main', primary);
  for (const output of await refusalOf(`redis://127.0.0.1:${port}`)) {
    expect(output).toContain('REDIS_URL leads to a Sentinel: write redis+sentinel://');
  }
}, 60_000);
