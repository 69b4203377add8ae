// The supervisor of workers accepts connections and gives each to the worker that has the fewest. None is lost.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { connectionsOf } from '../support/connections-of.ts';
import { eventually } from '../support/eventually.ts';
import { type RawConnection, rawConnection } from '../support/raw.ts';
import { spreadOf, startBareWorkers, startsOf, type Workers, workersOf } from '../support/workers.ts';

vi.setConfig({ testTimeout: 90_000 });

const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
const isEven = (spread: number[]) => Math.max(...spread) - Math.min(...spread) <= 1;
const total = (spread: number[]) => spread.reduce((sum, one) => sum + one);

/** A connection that stays open, after one request. */
async function open({ port }: Workers): Promise<RawConnection> {
  const connection = rawConnection(port, GET);
  onTestFinished(() => void connection.socket.destroy());
  await eventually(() => connection.received().includes('200 OK'));
  return connection;
}

const openAtOnce = (server: Workers, count: number) => Promise.all(Array.from({ length: count }, () => open(server)));

/** The process that answers a request with a connection of its own. */
async function short({ url }: Workers): Promise<number> {
  const response = await fetch(url, { headers: { connection: 'close' } });
  return Number(await response.text());
}

async function untilClosed(server: Workers, left: number): Promise<void> {
  await eventually(() => total(spreadOf(server, server.port)) === left);
  // The worker reports it to the supervisor at once.
  await sleep(100);
}

describe('connections that stay open', () => {
  test.each([1, 2, 4])('at once, over %d workers', async (workers) => {
    const server = await startBareWorkers(workers);
    for (const count of [4, 2, 8]) {
      const connections = await openAtOnce(server, count);
      const spread = spreadOf(server, server.port);
      expect(total(spread)).toBe(count);
      expect(spread).toSatisfy(isEven);
      for (const { socket } of connections) socket.destroy();
      await untilClosed(server, 0);
    }
  });

  test('one after the other, with short ones between them', async () => {
    const server = await startBareWorkers(2);
    for (let n = 1; n <= 10; n += 1) {
      await open(server);
      expect(spreadOf(server, server.port)).toSatisfy(isEven);
      await short(server);
      await untilClosed(server, n);
    }
  });

  test('when others close, the next ones fill the gaps', async () => {
    const server = await startBareWorkers(2);
    const connections = await openAtOnce(server, 8);
    const pid = workersOf(server)[0] as number;
    let left = connections.length;
    while (connectionsOf(pid, server.port) > 1) {
      left -= 1;
      connections[left]?.socket.destroy();
      await untilClosed(server, left);
    }
    expect(left).toBeLessThan(6);
    await openAtOnce(server, 8 - left);
    expect(spreadOf(server, server.port)).toEqual([4, 4]);
  });

  test('a new worker gets the next ones', async () => {
    const server = await startBareWorkers(2);
    await openAtOnce(server, 4);
    process.kill(workersOf(server)[0] as number, 'SIGKILL');
    await eventually(() => startsOf(server) === 3, 60_000);
    const pid = workersOf(server).find((one) => connectionsOf(one, server.port) === 0) as number;
    await openAtOnce(server, 2);
    expect(connectionsOf(pid, server.port)).toBe(2);
  });
});

test('short connections are shared by turns', async () => {
  const server = await startBareWorkers(3);
  const counts = new Map<number, number>();
  for (let n = 0; n < 30; n += 1) {
    const pid = await short(server);
    counts.set(pid, (counts.get(pid) ?? 0) + 1);
  }
  expect([...counts.keys()].toSorted()).toEqual(workersOf(server).toSorted());
  expect(Math.min(...counts.values())).toBeGreaterThan(5);
});

describe('no connection is lost', () => {
  test('when a worker hangs: others serve new ones, and its own after it was killed', async () => {
    const server = await startBareWorkers(2);
    await open(server);
    const idle = workersOf(server).find((pid) => connectionsOf(pid, server.port) === 0) as number;
    process.kill(idle, 'SIGSTOP');
    const held = short(server);
    for (let n = 0; n < 6; n += 1) expect(await short(server)).not.toBe(idle);
    expect(await Promise.race([held, sleep(100, 'waits')])).toBe('waits');
    process.kill(idle, 'SIGKILL');
    expect(await held).toBeGreaterThan(0);
  });

  test('when a worker hangs for a while: it serves its own, and receives connections again', async () => {
    const server = await startBareWorkers(2);
    const [pid] = workersOf(server) as [number];
    process.kill(pid, 'SIGSTOP');
    const held = Array.from({ length: 4 }, () => short(server));
    expect(await Promise.any(held)).not.toBe(pid);
    await sleep(1_000);
    process.kill(pid, 'SIGCONT');
    expect(await Promise.all(held)).toContain(pid);
    await untilClosed(server, 0);
    await openAtOnce(server, 4);
    expect(spreadOf(server, server.port)).toEqual([2, 2]);
  });

  test('when a worker has no free file descriptor', async () => {
    const server = await startBareWorkers(2);
    const [pid] = workersOf(server) as [number];
    const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
    let free = 0;
    while (taken.has(free)) free += 1;
    const limitFiles = (count: number) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${count}:`]);
    const soft = execFileSync('prlimit', ['--pid', String(pid), '--nofile', '--noheadings', '--output', 'SOFT']);
    limitFiles(free);
    for (let n = 0; n < 4; n += 1) expect(await short(server)).not.toBe(pid);
    limitFiles(Number(soft));
    await untilClosed(server, 0);
    await openAtOnce(server, 4);
    expect(spreadOf(server, server.port)).toEqual([2, 2]);
  });

  test('when a worker stops and another one takes its place', async () => {
    const server = await startBareWorkers(2);
    let running = true;
    const failures: unknown[] = [];
    const loops = Array.from({ length: 8 }, async () => {
      while (running) await short(server).catch((error) => failures.push(error));
    });
    for (let n = 1; n <= 3; n += 1) {
      process.kill(workersOf(server)[0] as number, 'SIGTERM');
      await eventually(() => startsOf(server) === 2 + n, 60_000);
    }
    running = false;
    await Promise.all(loops);
    expect(failures).toEqual([]);
  });
});

test('the port stays the same after all workers were killed', async () => {
  const server = await startBareWorkers(2);
  for (const pid of workersOf(server)) process.kill(pid, 'SIGKILL');
  await eventually(() => startsOf(server) === 4, 60_000);
  expect(await short(server)).toBeGreaterThan(0);
});

test('a client that has ended its side receives its answer', async () => {
  const server = await startBareWorkers(2);
  const halfOpen = rawConnection(server.port, GET);
  halfOpen.socket.end();
  await halfOpen.closed;
  expect(halfOpen.received()).toContain('200 OK');
});

test('a stop serves the connections that were accepted, and then accepts none', async () => {
  const server = await startBareWorkers(2);
  const kept = await openAtOnce(server, 4);
  server.child.kill('SIGTERM');
  await Promise.all(kept.map(({ closed }) => closed));
  expect(await server.ended).toBe(0);
  await expect(short(server)).rejects.toThrow();
});
