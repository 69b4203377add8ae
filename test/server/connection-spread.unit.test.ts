import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createConnectionSpread } from '../../src/server/transport/connection-spread.ts';
import { surplusOf } from '../../src/server/transport/surplus.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const LATE_MS = 500;
const spreadOf = (counts: number[]) => Math.max(...counts) - Math.min(...counts);

/** Workers that confirm each connection only when a test says so. Connections are numbers. */
function startSpread(workers: string[]) {
  const sent: [worker: string, connection: number][] = [];
  const pinged: string[] = [];
  const released: number[] = [];
  const left: string[] = [];
  const spread = createConnectionSpread<string, number>({
    send: (worker, connection) => void sent.push([worker, connection]),
    ping: (worker) => void pinged.push(worker),
    release: (connection) => void released.push(connection),
    left: (worker) => void left.push(worker),
  });
  for (const worker of workers) spread.join(worker);
  return { spread, sent, pinged, released, left };
}

/** Workers that confirm at once. Returns the number of open connections of each. */
function startPrompt(workers: string[]) {
  const open = new Map<string, number>();
  const spread = createConnectionSpread<string, number>({
    send(worker) {
      open.set(worker, (open.get(worker) ?? 0) + 1);
      queueMicrotask(() => spread.confirmed(worker));
    },
    ping() {},
    release() {},
    left() {},
  });
  const join = (worker: string) => {
    open.set(worker, 0);
    spread.join(worker);
  };
  for (const worker of workers) join(worker);
  return {
    spread,
    join,
    open,
    counts: () => [...open.values()],
    async give() {
      spread.give(0);
      await Promise.resolve();
    },
    close(worker: string, count = 1) {
      open.set(worker, (open.get(worker) ?? 0) - count);
      spread.closed(worker, count);
    },
  };
}

describe('the worker with the fewest connections is next', () => {
  test('connections that open one after the other differ by at most one, for any number of workers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 9 }), fc.integer({ max: 40 }), async (workers, connections) => {
        const { give, counts } = startPrompt(Array.from({ length: workers }, (_, n) => `${n}`));
        for (let n = 0; n < connections; n += 1) {
          await give();
          expect(spreadOf(counts())).toBeLessThanOrEqual(1);
        }
      }),
    );
  });

  test('also after any connections have closed', async () => {
    const steps = fc.array(fc.oneof(fc.constant('give'), fc.constantFrom('a', 'b', 'c')), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const { give, close, open, counts } = startPrompt(['a', 'b', 'c']);
        for (const step of all) {
          const before = [...open];
          const least = Math.min(...counts());
          if (step !== 'give') {
            if ((open.get(step) ?? 0) > 0) close(step);
            continue;
          }
          await give();
          const [receiver] = before.find(([worker, count]) => open.get(worker) !== count) as [string, number];
          expect(before.find(([worker]) => worker === receiver)?.[1]).toBe(least);
        }
      }),
    );
  });

  test('workers with equally many take turns, so that short connections are shared too', async () => {
    const { give, close, open } = startPrompt(['a', 'b', 'c']);
    const order: string[] = [];
    for (let n = 0; n < 6; n += 1) {
      await give();
      const [worker] = [...open].find(([, count]) => count === 1) as [string, number];
      order.push(worker);
      close(worker);
    }
    expect(order).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  test('a new worker is first', async () => {
    const { give, join, open, spread } = startPrompt(['a', 'b']);
    for (let n = 0; n < 6; n += 1) await give();
    spread.remove('a');
    open.delete('a');
    join('c');
    for (let n = 0; n < 3; n += 1) await give();
    expect([...open]).toEqual([
      ['b', 3],
      ['c', 3],
    ]);
  });
});

describe('a connection on its way', () => {
  test('is one for each worker, and the next connection waits for the confirmation', () => {
    const { spread, sent, released } = startSpread(['a', 'b']);
    for (let n = 0; n < 4; n += 1) spread.give(n);
    expect(sent).toEqual([
      ['a', 0],
      ['b', 1],
    ]);
    spread.confirmed('b');
    expect([sent.slice(2), released]).toEqual([[['b', 2]], [1]]);
    spread.confirmed('b');
    // Worker b has two, and worker a one.
    expect(sent.slice(3)).toEqual([]);
    spread.confirmed('a');
    expect([sent.slice(3), released]).toEqual([[['a', 3]], [1, 2, 0]]);
  });

  test('goes to another worker, before those that wait, when the process ends', () => {
    const { spread, sent, released } = startSpread(['a', 'b']);
    for (let n = 0; n < 3; n += 1) spread.give(n);
    spread.remove('a');
    spread.confirmed('b');
    spread.confirmed('b');
    expect(sent.slice(1)).toEqual([
      ['b', 1],
      ['b', 0],
      ['b', 2],
    ]);
    expect(released).toEqual([1, 0]);
  });

  test('is released when no worker is left', () => {
    const { spread, released } = startSpread(['a']);
    spread.give(0);
    spread.give(1);
    spread.remove('a');
    spread.give(2);
    expect(released).toEqual([0, 1, 2]);
  });

  test('is confirmed by a worker that leaves, which receives no others', () => {
    const { spread, sent, released, left } = startSpread(['a', 'b']);
    spread.give(0);
    spread.leave('a');
    spread.give(1);
    spread.confirmed('b');
    spread.give(2);
    spread.confirmed('b');
    // Worker a has fewer.
    spread.give(3);
    expect(left).toEqual([]);
    spread.confirmed('a');
    expect(left).toEqual(['a']);
    expect(released).toEqual([1, 2, 0]);
    expect(sent).toEqual([
      ['a', 0],
      ['b', 1],
      ['b', 2],
      ['b', 3],
    ]);
  });

  test('and those that wait are served before the last workers leave', () => {
    const { spread, sent, released, left } = startSpread(['a', 'b']);
    for (let n = 0; n < 4; n += 1) spread.give(n);
    spread.leave('a');
    spread.leave('b');
    spread.confirmed('a');
    spread.confirmed('b');
    expect(left).toEqual([]);
    spread.confirmed('a');
    spread.confirmed('b');
    expect([sent.length, released, left]).toEqual([4, [0, 1, 2, 3], ['a', 'b']]);
  });

  test('keeps a worker that hangs from receiving more, until it confirms', () => {
    const { spread, sent, pinged } = startSpread(['a', 'b']);
    for (let n = 0; n < 2; n += 1) spread.give(n);
    spread.confirmed('b');
    for (let n = 2; n < 4; n += 1) spread.give(n);
    spread.confirmed('b');
    vi.advanceTimersByTime(LATE_MS / 2);
    expect([sent.slice(3), pinged]).toEqual([[], []]);
    vi.advanceTimersByTime(LATE_MS / 2);
    expect([sent.slice(3), pinged]).toEqual([[['b', 3]], ['a']]);
    spread.confirmed('b');
    spread.confirmed('a');
    spread.replied('a');
    spread.give(4);
    expect(sent.slice(4)).toEqual([['a', 4]]);
  });

  test('returns when the worker replies without it, and no longer counts there', () => {
    const { spread, sent, released } = startSpread(['a', 'b']);
    spread.give(0);
    spread.give(1);
    spread.confirmed('b');
    vi.advanceTimersByTime(LATE_MS);
    spread.replied('a');
    // Worker a has none again, and worker b has one.
    expect(sent.slice(2)).toEqual([['a', 0]]);
    spread.confirmed('a');
    spread.closed('a', 1);
    spread.give(2);
    expect(sent.slice(3)).toEqual([['a', 2]]);
    expect(released).toEqual([1, 0]);
  });
});

test('no connection is lost or delivered twice, in any order of events', () => {
  const names = ['a', 'b', 'c'];
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.constant(['give', 'a'] as const) },
    { weight: 10, arbitrary: fc.tuple(fc.constantFrom('confirm', 'close', 'lose'), fc.constantFrom(...names)) },
    { weight: 2, arbitrary: fc.tuple(fc.constantFrom('join', 'leave', 'remove', 'wait'), fc.constantFrom(...names)) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      /** Connections that a worker has not read yet. */
      const channels = new Map<string, number[]>();
      const staying = new Set<string>();
      const pings = new Set<string>();
      const served = new Map<string, number>();
      const finished = new Set<number>();
      let given = 0;
      let confirming: number | null = null;
      const spread = createConnectionSpread<string, number>({
        send(worker, connection) {
          expect(channels.get(worker)).toEqual([]);
          channels.get(worker)?.push(connection);
        },
        ping: (worker) => void pings.add(worker),
        release(connection) {
          expect(finished.has(connection)).toBe(false);
          finished.add(connection);
          if (connection === confirming) confirming = null;
          else expect(channels.size).toBe(0);
        },
        left(worker) {
          expect(staying.has(worker)).toBe(false);
          expect(channels.get(worker)).toEqual([]);
          channels.delete(worker);
          served.delete(worker);
        },
      });
      function confirm(worker: string): void {
        served.set(worker, (served.get(worker) ?? 0) + 1);
        confirming = channels.get(worker)?.pop() as number;
        spread.confirmed(worker);
        expect(confirming).toBe(null);
      }
      function remove(worker: string): void {
        for (const one of [channels, staying, pings, served]) one.delete(worker);
        spread.remove(worker);
      }
      for (const [what, worker] of steps) {
        const onItsWay = channels.get(worker)?.length === 1;
        if (what === 'give') spread.give(given++);
        else if (what === 'join' && !channels.has(worker)) {
          channels.set(worker, []);
          staying.add(worker);
          spread.join(worker);
        } else if (what === 'leave' && staying.delete(worker)) spread.leave(worker);
        else if (what === 'remove' && channels.has(worker)) remove(worker);
        else if (what === 'confirm' && onItsWay) confirm(worker);
        else if (what === 'lose' && onItsWay && pings.delete(worker)) {
          channels.set(worker, []);
          spread.replied(worker);
        } else if (what === 'close' && (served.get(worker) ?? 0) > 0) {
          served.set(worker, (served.get(worker) ?? 0) - 1);
          spread.closed(worker, 1);
        } else if (what === 'wait') vi.advanceTimersByTime(LATE_MS);
      }
      // A last worker serves everything that is left.
      channels.set('last', []);
      staying.add('last');
      spread.join('last');
      for (const worker of [...channels.keys()]) if (worker !== 'last') remove(worker);
      while (channels.get('last')?.length === 1) confirm('last');
      expect(finished.size).toBe(given);
    }),
    { numRuns: 2_000 },
  );
});

describe('a surplus that lasts', () => {
  test('is what must move, so that workers differ by at most one', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { minLength: 1, maxLength: 8 }), (open) => {
        const surplus = surplusOf(open);
        const kept = open.map((count, n) => count - (surplus[n] as number));
        let moved = surplus.reduce((sum, one) => sum + one, 0);
        // No surplus means that no move is needed.
        expect(moved === 0).toBe(spreadOf(open) <= 1);
        for (; moved > 0; moved -= 1) kept[kept.indexOf(Math.min(...kept))] = Math.min(...kept) + 1;
        expect(spreadOf(kept)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('is retired a tenth at a time, at least one, until none is left', async () => {
    const { spread, give, join, close, open } = startPrompt(['a']);
    for (let n = 0; n < 40; n += 1) await give();
    join('b');
    expect(spread.retirements()).toEqual(new Map());
    const retired: number[] = [];
    for (let due = spread.retirements(); due.size > 0; due = spread.retirements()) {
      const count = due.get('a') ?? 0;
      retired.push(count);
      close('a', count);
      for (let n = 0; n < count; n += 1) await give();
    }
    expect(retired).toEqual([4, 4, 4, 3, 3]);
    expect([...open]).toEqual([
      ['a', 22],
      ['b', 18],
    ]);
  });

  test('does not count while it is short, or below a tenth', async () => {
    const { spread, give, close } = startPrompt(['a', 'b']);
    for (let n = 0; n < 80; n += 1) await give();
    close('b', 20);
    spread.retirements();
    for (let n = 0; n < 20; n += 1) await give();
    expect(spread.retirements()).toEqual(new Map());
    close('b', 7);
    spread.retirements();
    expect(spread.retirements()).toEqual(new Map());
  });

  test.each(['hangs', 'leaves'])('does not go to a worker that %s', (what) => {
    const { spread, sent } = startSpread(['a', 'b']);
    for (let n = 0; n < 8; n += 1) {
      spread.give(n);
      for (const worker of ['a', 'b']) spread.confirmed(worker);
    }
    spread.closed('b', 4);
    spread.give(8);
    expect(sent.at(-1)).toEqual(['b', 8]);
    if (what === 'hangs') vi.advanceTimersByTime(LATE_MS);
    else spread.leave('b');
    spread.retirements();
    expect(spread.retirements()).toEqual(new Map());
    spread.confirmed('b');
    spread.retirements();
    expect(spread.retirements().size).toBe(what === 'hangs' ? 1 : 0);
  });
});
