// The time limits of HTTP/1.1 connections on which memory has answered a request before node:http could read it.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { EchoClient, type EchoListener, get, listenEcho, post } from './http1-listener.ts';

type Opened = { listener: EchoListener; client: EchoClient };

/** A client whose first two requests were answered, alone with its listener. */
async function opened(): Promise<Opened> {
  const listener = await listenEcho();
  onTestFinished(() => listener.close(0));
  const client = new EchoClient(listener.port);
  onTestFinished(() => void client.socket.destroy());
  for (let n = 0; n < 2; n += 1) await client.ask(get('/fast'));
  return { listener, client };
}

const NEVER = 25_000;

/** Milliseconds until the server has closed the connection. A client that does not read cannot see it. */
async function closedAfter({ listener }: Opened): Promise<number> {
  const startedAt = performance.now();
  while (listener.connections() > 0 && performance.now() - startedAt < NEVER) await sleep(50);
  return performance.now() - startedAt;
}

test('a request that does not arrive, and an answer that is not read, close the connection after ten seconds', async () => {
  const cases: Record<string, (client: EchoClient) => void> = {
    'half a head': (client) => client.write(get('/fast').slice(0, -3)),
    'a head without its body': (client) => client.write(post('/fast', 'hello').slice(0, -5)),
    'a body that is shorter than its length': (client) => client.write(post('/fast', 'hello').slice(0, -1)),
    'one large answer': (client) => {
      client.socket.pause();
      client.write(get('/size/30000000'));
    },
    'many answers': (client) => {
      client.socket.pause();
      const sending = setInterval(() => client.write(get('/size/16000')), 1);
      client.socket.once('close', () => clearInterval(sending));
    },
  };
  const times = await Promise.all(
    Object.entries(cases).map(async ([name, begin]): Promise<[string, number]> => {
      const both = await opened();
      begin(both.client);
      return [name, await closedAfter(both)];
    }),
  );
  for (const [name, time] of times) {
    expect(time, name).toBeGreaterThan(9_000);
    expect(time, name).toBeLessThan(14_000);
  }
}, 45_000);

test('answers that are not read stop the reading of requests', async () => {
  const { listener, client } = await opened();
  client.socket.pause();
  for (let n = 0; n < 5_000 && client.socket.writableLength < 1024 * 1024; n += 1) {
    client.write(get('/size/16000', `x-a: ${'x'.repeat(1_000)}`));
    await sleep(1);
  }
  // Those of 16 MiB fit into the buffers of the kernel.
  expect(listener.fastAnswers.length).toBeLessThan(1_000);
});

test('a connection whose requests are all answered from memory stays open for longer than a request may take', async () => {
  const { listener, client } = await opened();
  const read = listener.readByNode();
  for (const until = performance.now() + 13_000; performance.now() < until; await sleep(500))
    expect((await client.ask(get('/fast'))).status).toBe(200);
  await sleep(12_000);
  expect((await client.ask(get('/fast'))).status).toBe(200);
  expect(listener.readByNode()).toBe(read);
}, 45_000);
