// Signing keys over months of a simulated clock, with a verifier that caches the JWKS for as long as allowed.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  dueChanges,
  type KeyPlan,
  type KeyPolicy,
  removal,
  rotation,
  type SigningKeyRecord,
} from '../../src/domain/key-schedule.ts';

const MINUTE = 60_000;
const policy: KeyPolicy = {
  algorithm: 'EdDSA',
  rotateEveryMs: 24 * 60 * MINUTE,
  publishMs: 60 * MINUTE,
  keepMs: 63 * MINUTE,
};
const es256: KeyPolicy = { ...policy, algorithm: 'ES256' };
const START = new Date('2026-01-01T00:00:00Z');
const NOTHING: KeyPlan = { moves: [], add: [] };
const at = (minutes: number) => new Date(START.getTime() + minutes * MINUTE);

/** Carries a plan out, as the store does. */
function carryOut(keys: SigningKeyRecord[], plan: KeyPlan | object | null, now: Date): SigningKeyRecord[] {
  if (!plan || !('moves' in plan)) return keys;
  const { moves, add } = plan as KeyPlan;
  const changed = keys.map((key): SigningKeyRecord => {
    const to = moves.find(({ kid }) => kid === key.kid)?.to;
    if (to === 'retired') return { ...key, state: to, retiredAt: now };
    if (to === 'retiring') return { ...key, state: to, retiringAt: now };
    return to === 'active' ? { ...key, state: to, activatedAt: now } : key;
  });
  const added = add.map((wanted, n): SigningKeyRecord => {
    const activatedAt = wanted.state === 'active' ? now : null;
    return { ...wanted, kid: `k${keys.length + n}`, publishedAt: now, activatedAt, retiringAt: null, retiredAt: null };
  });
  return [...changed, ...added];
}

const first = carryOut([], dueChanges([], policy, START), START);
const inState = (keys: SigningKeyRecord[], state: string) => keys.filter((key) => key.state === state);
const states = (keys: SigningKeyRecord[]) => keys.map(({ state }) => state);

describe('the schedule', () => {
  test('creates two keys at first, and either may sign, because they are published together', () => {
    expect(states(first)).toEqual(['active', 'published']);
    expect(dueChanges(first, policy, at(1))).toEqual(NOTHING);
    expect(rotation(first, at(0))).toEqual({
      moves: [
        { kid: 'k0', to: 'retiring' },
        { kid: 'k1', to: 'active' },
      ],
      add: [],
    });
  });

  test('publishes the next key as soon as none is published, and activates it once verifiers can have it', () => {
    const alone = carryOut(first, rotation(first, at(5)), at(5));
    expect(states(alone)).toEqual(['retiring', 'active']);
    expect(rotation(alone, at(5))).toEqual({ from: null });
    const rotated = carryOut(alone, dueChanges(alone, policy, at(6)), at(6));
    expect(rotation(rotated, at(65))).toEqual({ from: at(66) });
    expect(rotation(rotated, at(66))).toHaveProperty('moves');
  });

  test('keeps signsFrom of a published key, even for a worker with another configuration', () => {
    const alone = carryOut(first, rotation(first, at(0)), at(0));
    const longer = carryOut(alone, dueChanges(alone, { ...policy, publishMs: 600 * MINUTE }, at(0)), at(0));
    expect(dueChanges(longer, { ...policy, rotateEveryMs: 60 * MINUTE }, at(599))).toMatchObject({ add: [] });
    expect(rotation(longer, at(599))).toEqual({ from: at(600) });
  });

  test('replaces keys of another algorithm, once verifiers can have the next key', () => {
    const swapped = carryOut(first, dueChanges(first, es256, at(10)), at(10));
    expect(swapped.map(({ state, algorithm }) => [state, algorithm])).toEqual([
      ['active', 'EdDSA'],
      ['retired', 'EdDSA'],
      ['published', 'ES256'],
    ]);
    expect(dueChanges(swapped, es256, at(69))).toEqual(NOTHING);
    expect(inState(carryOut(swapped, dueChanges(swapped, es256, at(70)), at(70)), 'active')).toMatchObject([
      { kid: 'k2', algorithm: 'ES256' },
    ]);
    // A worker with the former configuration activates it.
    expect(dueChanges(swapped, policy, at(11))).toEqual(NOTHING);
  });

  test('publishes a successor of a single active key, which waits until verifiers can have it', () => {
    const late = at(3 * 24 * 60);
    expect(dueChanges(first.slice(0, 1), policy, late)).toEqual({
      moves: [],
      add: [{ algorithm: 'EdDSA', state: 'published', signsFrom: new Date(late.getTime() + policy.publishMs) }],
    });
  });

  test('a key signs for its period, and is kept for verification after it, each to the millisecond', () => {
    const justBefore = (minutes: number) => new Date(at(minutes).getTime() - 1);
    const day = 24 * 60;
    expect(dueChanges(first, policy, justBefore(day))).toEqual(NOTHING);
    const rotated = carryOut(first, dueChanges(first, policy, at(day)), at(day));
    expect(states(rotated)).toEqual(['retiring', 'active', 'published']);
    expect(dueChanges(rotated, policy, justBefore(day + 63))).toEqual(NOTHING);
    expect(dueChanges(rotated, policy, at(day + 63)).moves).toEqual([{ kid: 'k0', to: 'retired' }]);
  });

  test('without an active key the published one signs, and the next is published', () => {
    const orphan = first.slice(1);
    expect(dueChanges(orphan, policy, at(1))).toEqual({
      moves: [{ kid: 'k1', to: 'active' }],
      add: [{ algorithm: 'EdDSA', state: 'published', signsFrom: at(61) }],
    });
    expect(rotation(orphan, at(1))).toEqual({ moves: [{ kid: 'k1', to: 'active' }], add: [] });
    expect(rotation([], at(1))).toEqual({ from: null });
  });

  test('without automatic rotation a key signs until an administrator rotates', () => {
    expect(dueChanges(first, { ...policy, rotateEveryMs: 0 }, at(10_000_000))).toEqual(NOTHING);
  });

  test('retires a stolen key at once, and one key always signs', () => {
    expect(states(carryOut(first, removal(first, 'k0', at(1)), at(1)))).toEqual(['retired', 'active']);
    expect(states(carryOut(first, removal(first, 'k1', at(1)), at(1)))).toEqual(['active', 'retired']);
    const alone = first.slice(0, 1);
    const again = carryOut(alone, removal(alone, 'k0', at(1)), at(1));
    expect(states(again)).toEqual(['retired', 'active']);
    expect(removal(again, 'k0', at(1))).toBeNull();
    expect(removal(again, 'other', at(1))).toBeNull();
  });
});

type Ask = 'nothing' | 'rotate' | 'retire the standby' | 'retire another';

test('in any order of commands, by workers of two configurations: a verifier that caches the JWKS for up to an hour has each key that signs, and each key is kept until its tokens have expired', () => {
  const step = fc.record({
    minutes: fc.integer({ min: 1, max: 300 }),
    ask: fc.constantFrom<Ask>('nothing', 'nothing', 'rotate', 'retire the standby', 'retire another'),
    fetch: fc.boolean(),
    by: fc.constantFrom(policy, policy, es256),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 50, maxLength: 200 }), (steps) => {
      let [keys, now] = [first, START];
      const forced = new Set<string>();
      const problems: string[] = [];
      let cached = { kids: new Set(keys.map(({ kid }) => kid)), fetchedAt: now };
      for (const { minutes, ask, fetch, by } of steps) {
        now = new Date(now.getTime() + minutes * MINUTE);
        // A verifier that caches it for less than an hour has the same JWKS or a newer one.
        if (fetch || now.getTime() - cached.fetchedAt.getTime() >= policy.publishMs) {
          const kids = keys.filter(({ state }) => state !== 'retired').map(({ kid }) => kid);
          cached = { kids: new Set(kids), fetchedAt: now };
        }
        keys = carryOut(keys, dueChanges(keys, by, now), now);
        if (ask === 'rotate') keys = carryOut(keys, rotation(keys, now), now);
        if (ask.startsWith('retire')) {
          const [victim] = inState(keys, ask === 'retire the standby' ? 'published' : 'retiring');
          if (victim) {
            forced.add(victim.kid);
            keys = carryOut(keys, removal(keys, victim.kid, now), now);
          }
        }
        const [active, ...more] = inState(keys, 'active');
        const forgotten = inState(keys, 'retired').filter(
          ({ kid, activatedAt, retiredAt, retiringAt }) =>
            !forced.has(kid) && activatedAt && !(Number(retiredAt) - Number(retiringAt) >= policy.keepMs),
        );
        if (more.length > 0) problems.push('two keys sign');
        if (!active || !cached.kids.has(active.kid)) problems.push('a verifier lacks the key that signs');
        if (inState(keys, 'published').length > 1) problems.push('two keys wait');
        if (forgotten.length > 0) problems.push('a key is forgotten before its tokens have expired');
        if (inState(keys, 'retiring').length > 3) problems.push('more than three keys retire at once');
      }
      expect(problems).toEqual([]);
    }),
    { numRuns: 300 },
  );
});
