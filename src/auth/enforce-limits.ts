// The folder auth owns the use cases of AuthService and VerifierService. It must not use SQL, Redis, HTTP or gRPC
// itself: a use case takes what it needs from Deps and fails with an AuthError.

import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect } from '../domain/effect.ts';
import type { BudgetName, LimitName, NetworkLimit } from '../limits/limits.ts';
import type { TakeResult } from '../limits/take-from.ts';
import { noteForLog } from '../process/log-context.ts';

/** A budget without a key counts for the whole deployment. */
export type Budget = { limit: BudgetName; key?: string };

/** A limit by network counts the caller's address, so it needs no key. */
export type Attempt = (
  | { limit: NetworkLimit }
  | { limit: Exclude<LimitName, NetworkLimit | BudgetName>; key: string }
) & {
  /** Each counts an allowed attempt, and tightens the limit while the budget is exceeded. */
  budgets?: Budget[];
  /** Effects to write with the audit event of the first rejection in a window. */
  onFirstRejection?: () => Promise<Effect[]>;
};

export type Permit = {
  giveBack(): Promise<void>;
  /** An error of the work shows nothing about the attempt, so it returns the points. */
  giveBackOnError<T>(work: () => Promise<T>): Promise<T>;
};

type AuditSubject = { account?: string; userId?: string; sessionId?: string };
type LimitDeps = Pick<Deps, 'limiter' | 'store' | 'now'>;

/**
 * Stops at the first exceeded limit, and a rejected attempt counts against that limit only. The first rejection of a
 * window is audited, but no later one, so that an attack does not fill the audit trail.
 * @throws AuthError RATE_LIMITED
 */
export async function enforceLimits(
  deps: LimitDeps,
  { attempts, ...subject }: { attempts: Attempt[] } & AuditSubject,
  call: Call,
): Promise<Permit> {
  const taken: TakeResult[] = [];
  const giveBack = async () => {
    await Promise.all(taken.map((result) => result.giveBack()));
  };
  for (const attempt of attempts) {
    const key = 'key' in attempt ? attempt.key : call.origin.address;
    const tightenedForMs = await exceededForMs(deps, attempt.budgets ?? []);
    const result = await deps.limiter.take(attempt.limit, key, tightenedForMs);
    if (result.allowed) {
      taken.push(result);
      continue;
    }
    await giveBack();
    if (result.isFirstRejection) {
      const effects = await attempt.onFirstRejection?.();
      await auditRejection(deps, { limit: attempt.limit, subject, effects }, call);
    }
    noteForLog({ limit: attempt.limit });
    throw new AuthError('RATE_LIMITED', { retryAfterMs: result.retryAfterMs });
  }
  await spendBudgets(
    deps,
    attempts.flatMap(({ budgets = [] }) => budgets),
    call,
  );
  return {
    giveBack,
    async giveBackOnError(work) {
      try {
        return await work();
      } catch (error) {
        await giveBack();
        throw error;
      }
    },
  };
}

/** Counts without rejecting. The first attempt of a window that exceeds a budget is audited. */
export async function spendBudgets(deps: LimitDeps, budgets: Budget[], call: Call): Promise<void> {
  const distinct = new Map(budgets.map(({ limit, key = 'all' }) => [`${limit}:${key}`, { limit, key }]));
  await Promise.all(
    [...distinct.values()].map(async ({ limit, key }) => {
      const { isFirstRejection } = await deps.limiter.take(limit, key);
      if (isFirstRejection) await auditRejection(deps, { limit, subject: {} }, call);
    }),
  );
}

async function exceededForMs({ limiter }: LimitDeps, budgets: Budget[]): Promise<number> {
  const each = await Promise.all(budgets.map(({ limit, key = 'all' }) => limiter.exceededForMs(limit, key)));
  return Math.max(0, ...each);
}

type LimitRejection = { limit: LimitName; subject: AuditSubject; effects?: Effect[] | undefined };

async function auditRejection(
  { store, now }: LimitDeps,
  { limit, subject, effects = [] }: LimitRejection,
  { origin }: Call,
): Promise<void> {
  await store.outbox.write(now(), [audit({ type: 'throttled', ...subject, detail: limit, origin }), ...effects]);
}
