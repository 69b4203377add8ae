// The work that every failed comparison does, so that its time is the same whatever hash an account has, and without one: one hash of
// each kind in use. Waiting for a timer would not do: under load real work varies, and a timer does not.
import { decoysOf, estimateMs, type HashKind } from './hash-kind.ts';

export type FailureWork = {
  /** Replaces the kinds in use. Returns the families that are left out because they cost too much. */
  use(kinds: HashKind[]): string[];
  /** Adds a kind that nobody had named. */
  add(kind: HashKind): void;
  /** Decoys for the work that remains after a comparison with a hash of this kind; null for none. */
  remaining(done: HashKind | null): string[];
};

/**
 * The limit for all kinds beyond the configured one together, roughly: a costly imported hash must not let strangers use up the machine by
 * signing in to accounts that do not exist.
 */
const MAX_EXTRA_MS = 1_000;

export function createFailureWork(configured: HashKind): FailureWork {
  let inUse: HashKind[] = [];
  let families = new Map([[configured.family, configured.work]]);

  function use(kinds: HashKind[]): string[] {
    inUse = kinds;
    families = new Map([[configured.family, configured.work]]);
    const leftOut = new Set<string>();
    let extraMs = 0;
    // The cheapest first: as many accounts as the bound allows look like those that do not exist.
    for (const { family, work } of kinds.toSorted((a, b) => estimateMs(a) - estimateMs(b))) {
      const before = families.get(family) ?? 0;
      const ms = estimateMs({ family, work: Math.max(0, work - before) });
      if (extraMs + ms > MAX_EXTRA_MS) {
        leftOut.add(family);
        continue;
      }
      extraMs += ms;
      families.set(family, Math.max(before, work));
    }
    return [...leftOut];
  }

  return {
    use,
    add(kind) {
      const isKnown = inUse.some(({ family, work }) => family === kind.family && work >= kind.work);
      if (!isKnown && kind.work > (families.get(kind.family) ?? 0)) use([...inUse, kind]);
    },
    remaining(done) {
      return [...families].flatMap(([family, work]) =>
        decoysOf({ family, work: Math.max(0, work - (done?.family === family ? done.work : 0)) }),
      );
    },
  };
}
