import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { networksOf } from '../../src/domain/networks.ts';
import { createFairSlots } from '../../src/server/calls/fair-slots.ts';

function slotsOf(capacity: number, maxHoldUnderPressureMs = Number.POSITIVE_INFINITY) {
  const slots = createFairSlots({ capacity, maxHoldUnderPressureMs });
  const held = new Map<number, { address: string; connection: object; release: () => void }>();
  const evicted: number[] = [];
  let count = 0;
  return {
    slots,
    held,
    evicted,
    take(address: string, connection: object = {}) {
      const n = count++;
      const release = slots.acquire({ address, connection }, () => {
        evicted.push(n);
        held.delete(n);
      });
      held.set(n, { address, connection, release });
      return release;
    },
  };
}

describe('slots that are shared fairly', () => {
  test('without a free slot, the network with the most loses its oldest', () => {
    const { take, evicted, slots } = slotsOf(10);
    take('198.51.100.1');
    const one = {};
    for (let n = 0; n < 9; n += 1) take('203.0.113.5', one);
    take('198.51.100.2');
    take('192.0.2.1');
    expect(evicted).toEqual([1, 2]);
    expect(slots.inUse()).toBe(10);
  });

  test('a network counts all its addresses: a /24, a /48', () => {
    const { take, evicted } = slotsOf(6);
    for (const address of ['203.0.113.1', '203.0.113.2', '203.0.113.3']) take(address);
    for (const address of ['2001:db8::1', '2001:db8:0:1::1']) take(address);
    take('198.51.100.1');
    take('198.51.100.1');
    expect(evicted).toEqual([0]);
    take('2001:db8:0:2::1');
    expect(evicted).toHaveLength(2);
  });

  test('within a network, the connection with the most loses its oldest', () => {
    const { take, evicted } = slotsOf(4);
    const [small, large] = [{}, {}];
    take('203.0.113.1', small);
    for (let n = 0; n < 3; n += 1) take('203.0.113.1', large);
    take('203.0.113.1', small);
    expect(evicted).toEqual([1]);
  });

  test('a slot is released once, even when release is called again', () => {
    const { take, slots } = slotsOf(4);
    const release = take('203.0.113.1');
    take('203.0.113.1');
    release();
    release();
    expect(slots.inUse()).toBe(1);
  });

  test('while more than half are in use, no slot is held longer than the maximum', async () => {
    const { take, evicted, slots } = slotsOf(4, 50);
    for (let n = 0; n < 3; n += 1) take('203.0.113.1');
    await sleep(600);
    expect(evicted).toEqual([0, 1, 2]);
    take('203.0.113.1');
    await sleep(400);
    expect(slots.inUse()).toBe(1);
  });

  test('a network with a fair share or less never loses a slot', () => {
    const address = fc.constantFrom('203.0.113.1', '203.0.113.2', '198.51.100.1', '2001:db8::1', '2001:db8:0:9::1');
    fc.assert(
      fc.property(fc.array(fc.record({ address, release: fc.boolean() }), { maxLength: 200 }), (steps) => {
        const capacity = 12;
        const { take, held, evicted, slots } = slotsOf(capacity);
        for (const step of steps) {
          const before = new Map(held);
          const [oldest] = held.values();
          if (step.release && oldest) {
            oldest.release();
            held.delete([...held.keys()][0] as number);
          }
          const lost = evicted.length;
          take(step.address);
          expect(slots.inUse()).toBe(held.size);
          expect(held.size).toBeLessThanOrEqual(capacity);
          for (const n of evicted.slice(lost)) {
            const widest = (one: string) => networksOf(one).at(-1);
            const victim = before.get(n)?.address ?? step.address;
            const sizes = Map.groupBy([...held.values()], (one) => widest(one.address));
            const most = Math.max(...[...sizes.values()].map((list) => list.length));
            // Before the loss it was as large as any other.
            expect((sizes.get(widest(victim))?.length ?? 0) + 1).toBeGreaterThanOrEqual(most);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
