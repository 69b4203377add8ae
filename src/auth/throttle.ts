import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { BudgetName, LimitName, NetworkLimit } from '../limits/limits.ts';
import type { Taken } from '../limits/take-from.ts';

/** A budget counts the whole deployment unless it has a key. */
export type Budget = { limit: BudgetName; key?: string };

/** A limit by network counts the caller's address, so it needs no key. */
export type Attempt = (
  | { limit: NetworkLimit }
  | { limit: Exclude<LimitName, NetworkLimit | BudgetName>; key: string }
) & {
  /** They count the attempt when it may go on, and tighten its limit while one of them is exceeded. */
  within?: Budget[];
};

/** Attempts that were counted. */
export type Permit = {
  /** Takes them back: only failures are to count, and this was none. */
  giveBack(): Promise<void>;
  /** Does what the attempt is for; when that throws, it told nothing about the attempt, which is taken back. */
  unlessItThrows<T>(work: () => Promise<T>): Promise<T>;
};

/** Of the audit event: whose attempt it was. */
type Who = { account?: string; userId?: string; sessionId?: string };
type ThrottleDeps = Pick<Deps, 'limiter' | 'store' | 'now'>;

/**
 * Counts an attempt against each limit in turn, and stops at the first that is used up: a refused attempt counts against
 * that one alone. The first refusal of a window is audited; those that follow are not, so that an attack does not fill
 * the trail.
 * @param who whom the audit event names
 * @throws AuthError RATE_LIMITED
 */
export async function throttle(deps: ThrottleDeps, attempts: Attempt[], who: Who, call: Call): Promise<Permit> {
  const taken: Taken[] = [];
  const giveBack = async () => {
    await Promise.all(taken.map((one) => one.giveBack()));
  };
  for (const attempt of attempts) {
    const key = 'key' in attempt ? attempt.key : call.origin.address;
    const tightenedForMs = await exceededForMs(deps, attempt.within ?? []);
    const one = await deps.limiter.take(attempt.limit, key, tightenedForMs);
    if (one.allowed) {
      taken.push(one);
      continue;
    }
    await giveBack();
    if (one.isFirstRefusal) await auditRefusal(deps, attempt.limit, who, call);
    throw new AuthError('RATE_LIMITED', { retryAfterMs: one.retryAfterMs });
  }
  const budgets = attempts.flatMap(({ within = [] }) => within);
  await spend(deps, budgets, call);
  return {
    giveBack,
    async unlessItThrows(work) {
      try {
        return await work();
      } catch (error) {
        await giveBack();
        throw error;
      }
    },
  };
}

/** Counts what goes on in any case. The attempt that exceeds a budget is audited, once in a window. */
export async function spend(deps: ThrottleDeps, budgets: Budget[], call: Call): Promise<void> {
  const distinct = new Map(budgets.map(({ limit, key = 'all' }) => [`${limit}:${key}`, { limit, key }]));
  await Promise.all(
    [...distinct.values()].map(async ({ limit, key }) => {
      const { isFirstRefusal } = await deps.limiter.take(limit, key);
      if (isFirstRefusal) await auditRefusal(deps, limit, {}, call);
    }),
  );
}

/** For how long yet one of them is exceeded. */
async function exceededForMs({ limiter }: ThrottleDeps, budgets: Budget[]): Promise<number> {
  const each = await Promise.all(budgets.map(({ limit, key = 'all' }) => limiter.exceededForMs(limit, key)));
  return Math.max(0, ...each);
}

async function auditRefusal({ store, now }: ThrottleDeps, limit: LimitName, who: Who, { origin }: Call): Promise<void> {
  await store.outbox.write(now(), [audit({ type: 'throttled', ...who, detail: limit, origin })]);
}
