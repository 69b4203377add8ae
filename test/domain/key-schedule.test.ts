// Signing keys over years of a simulated clock, with a careful verifier, a careless one, and a rotation whenever somebody asks.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  dueChanges,
  type KeyPlan,
  type KeyPolicy,
  removal,
  rotation,
  type SigningAlgorithm,
  type SigningKeyRecord,
} from '../../src/domain/key-schedule.ts';

const MINUTE = 60_000;
const policy: KeyPolicy = {
  algorithm: 'EdDSA',
  rotateEveryMs: 24 * 60 * MINUTE,
  publishMs: 60 * MINUTE,
  keepMs: 63 * MINUTE,
};
const START = new Date('2026-01-01T00:00:00Z');
const at = (minutes: number) => new Date(START.getTime() + minutes * MINUTE);

/** Carries a plan out, as the store does. */
function carryOut(keys: SigningKeyRecord[], plan: KeyPlan, algorithm: SigningAlgorithm, now: Date): SigningKeyRecord[] {
  const changed = keys.map((key): SigningKeyRecord => {
    if (plan.retire.includes(key.kid)) return { ...key, state: 'retired', retiredAt: now };
    if (key.kid === plan.activate) return { ...key, state: 'active', activatedAt: now };
    if (plan.activate !== null && key.state === 'active') return { ...key, state: 'retiring', retiringAt: now };
    return key;
  });
  const added = plan.add.map((state, n): SigningKeyRecord => {
    const times = { publishedAt: now, activatedAt: state === 'active' ? now : null, retiringAt: null, retiredAt: null };
    return { kid: `k${keys.length + n}`, algorithm, state, ...times };
  });
  return [...changed, ...added];
}

const first = carryOut([], dueChanges([], policy, START), 'EdDSA', START);
const inState = (keys: SigningKeyRecord[], state: string) => keys.filter((key) => key.state === state);

describe('what happens when', () => {
  test('there are two keys from the start, and either may sign: nobody has seen one without the other', () => {
    expect(first.map(({ state }) => state)).toEqual(['active', 'published']);
    expect(dueChanges(first, policy, at(1))).toEqual({ retire: [], activate: null, add: [] });
    expect(rotation(first, policy, at(0))).toEqual({ retire: [], activate: 'k1', add: ['published'] });
  });

  test('a key that came later waits until it is known', () => {
    const rotated = carryOut(first, rotation(first, policy, at(5)) as KeyPlan, 'EdDSA', at(5));
    expect(rotation(rotated, policy, at(64))).toEqual({ from: at(65) });
    expect(rotation(rotated, policy, at(65))).toMatchObject({ activate: 'k2' });
  });

  test('keys of another algorithm than the configured one give way, and no sooner than the next is known', () => {
    const es256: KeyPolicy = { ...policy, algorithm: 'ES256' };
    const swapped = carryOut(first, dueChanges(first, es256, at(10)), 'ES256', at(10));
    expect(swapped.map(({ state, algorithm }) => [state, algorithm])).toEqual([
      ['active', 'EdDSA'],
      ['retired', 'EdDSA'],
      ['published', 'ES256'],
    ]);
    expect(dueChanges(swapped, es256, at(69)).activate).toBeNull();
    expect(dueChanges(swapped, es256, at(70)).activate).toBe('k2');
    expect(rotation(first, es256, at(10))).toHaveProperty('from');
  });

  test('an active key alone, as before there was rotation, gets a successor, which waits', () => {
    const alone = first.slice(0, 1);
    expect(dueChanges(alone, policy, at(3 * 24 * 60))).toEqual({ retire: [], activate: null, add: ['published'] });
  });

  test('without automatic rotation a key signs until somebody asks', () => {
    expect(dueChanges(first, { ...policy, rotateEveryMs: 0 }, at(10_000_000))).toEqual({
      retire: [],
      activate: null,
      add: [],
    });
  });

  test('a key that must go goes at once, and there is always one that signs', () => {
    const gone = carryOut(first, removal(first, 'k0') as KeyPlan, 'EdDSA', at(1));
    expect(gone.map(({ state }) => state)).toEqual(['retired', 'active', 'published']);
    const alone = carryOut(first.slice(0, 1), removal(first.slice(0, 1), 'k0') as KeyPlan, 'EdDSA', at(1));
    expect(alone.map(({ state }) => state)).toEqual(['retired', 'active', 'published']);
    const standby = carryOut(first, removal(first, 'k1') as KeyPlan, 'EdDSA', at(1));
    expect(standby.map(({ state }) => state)).toEqual(['active', 'retired', 'published']);
    expect(removal(gone, 'k0')).toBeNull();
    expect(removal(gone, 'other')).toBeNull();
  });
});

test('whatever is asked for and when: a verifier that keeps a JWKS for up to an hour knows each key that signs, and no key is forgotten before its tokens are dead', () => {
  const step = fc.record({ minutes: fc.integer({ min: 1, max: 300 }), ask: fc.boolean(), fetch: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { minLength: 50, maxLength: 200 }), (steps) => {
      let [keys, now] = [first, START];
      // Signs at every moment: its last token was made when its key stopped.
      let cached = { kids: new Set(keys.map(({ kid }) => kid)), fetchedAt: now };
      for (const { minutes, ask, fetch } of steps) {
        now = new Date(now.getTime() + minutes * MINUTE);
        // Whoever keeps it for less than an hour has the same one or a newer one.
        if (fetch || now.getTime() - cached.fetchedAt.getTime() >= policy.publishMs) {
          const kids = keys.filter(({ state }) => state !== 'retired').map(({ kid }) => kid);
          cached = { kids: new Set(kids), fetchedAt: now };
        }
        keys = carryOut(keys, dueChanges(keys, policy, now), 'EdDSA', now);
        const asked = ask ? rotation(keys, policy, now) : { from: now };
        if (!('from' in asked)) keys = carryOut(keys, asked, 'EdDSA', now);
        const [active, ...more] = inState(keys, 'active');
        expect(more).toEqual([]);
        expect(cached.kids).toContain(active?.kid);
        expect(inState(keys, 'published')).toHaveLength(1);
        for (const key of inState(keys, 'retired')) {
          const lived = Number(key.retiredAt) - Number(key.retiringAt);
          expect(lived).toBeGreaterThanOrEqual(policy.keepMs);
        }
        expect(inState(keys, 'retiring').length).toBeLessThanOrEqual(3);
      }
    }),
    { numRuns: 300 },
  );
});
