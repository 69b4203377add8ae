import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { inTime } from '../../src/async/in-time.ts';
import { pause } from '../../src/async/pause.ts';
import { untilAborted } from '../../src/async/until-aborted.ts';
import { waitAtMost } from '../../src/async/wait-at-most.ts';

const FOREVER = new Promise<never>(() => {});
const LONG_MS = 60_000;

async function millisecondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

test('a pause lasts its whole time', async () => {
  expect(await millisecondsOf(() => pause(50, new AbortController().signal))).toBeGreaterThan(45);
});

test('a pause ends when its signal aborts, and at once when the signal is aborted already', async () => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 20);
  expect(await millisecondsOf(() => pause(LONG_MS, abort.signal))).toBeLessThan(LONG_MS);
  expect(await millisecondsOf(() => pause(LONG_MS, abort.signal))).toBeLessThan(LONG_MS);
});

test('a bounded wait ends with the work, fails with the work, and gives up after its time', async () => {
  await waitAtMost(LONG_MS, Promise.resolve());
  await expect(waitAtMost(LONG_MS, Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(await millisecondsOf(() => waitAtMost(50, FOREVER))).toBeGreaterThan(45);
});

test('work under a signal returns its result, or fails with the reason of the abort', async () => {
  const abort = new AbortController();
  expect(await untilAborted(abort.signal, async () => 'done')).toBe('done');
  const hanging = untilAborted(abort.signal, () => FOREVER);
  abort.abort(new Error('deadline'));
  await expect(hanging).rejects.toThrow('deadline');
});

test('an aborted signal prevents the work', async () => {
  let hasBegun = false;
  const work = untilAborted(AbortSignal.abort(new Error('deadline')), async () => {
    hasBegun = true;
  });
  await expect(work).rejects.toThrow('deadline');
  expect(hasBegun).toBe(false);
});

test('an answer in time is returned, and one that does not come is an error', async () => {
  expect(await inTime(LONG_MS, async () => 'an answer')).toBe('an answer');
  await expect(inTime(LONG_MS, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  const wait = () => expect(inTime(100, () => FOREVER)).rejects.toThrow('timed out after 100 ms');
  expect(await millisecondsOf(wait)).toBeGreaterThan(95);
});

test('an answer that arrived while the process was held up is in time', async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const server = createServer((socket) => socket.end('an answer')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '127.0.0.1');
  client.once('data', (bytes) => resolve(String(bytes)));
  const answer = inTime(100, () => promise);
  const heldUntil = performance.now() + 500;
  while (performance.now() < heldUntil);
  expect(await answer).toBe('an answer');
  server.close();
});
