// A failed comparison computes one hash of each kind in use, to take the same time for every kind and unknown account.
// A timer would not help, because real work takes longer under load.
import type { HashKind } from './hash-family.ts';
import { decoysOf, estimateMs } from './hash-kind.ts';

export type FailureWork = {
  /** Returns the families that are excluded because they cost too much. */
  use(kinds: HashKind[]): string[];
  add(kind: HashKind): void;
  remaining(done: HashKind | null): string[];
};

/** A costly imported hash must not let strangers exhaust the machine by signing in to accounts that do not exist. */
const MAX_EXTRA_MS = 1_000;

export function createFailureWork(configured: HashKind): FailureWork {
  let inUse: HashKind[] = [];
  let families = new Map([[configured.family, configured.work]]);

  function use(kinds: HashKind[]): string[] {
    inUse = kinds;
    families = new Map([[configured.family, configured.work]]);
    const excluded = new Set<string>();
    let extraMs = 0;
    // The cheapest first, so that the bound covers as many kinds as possible.
    for (const { family, work } of kinds.toSorted((a, b) => estimateMs(a) - estimateMs(b))) {
      const before = families.get(family) ?? 0;
      const ms = estimateMs({ family, work: Math.max(0, work - before) });
      if (extraMs + ms > MAX_EXTRA_MS) {
        excluded.add(family);
        continue;
      }
      extraMs += ms;
      families.set(family, Math.max(before, work));
    }
    return [...excluded];
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
