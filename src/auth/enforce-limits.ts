// The folder auth owns the use cases of AuthService and VerifierService. It must not use SQL, Redis, HTTP or gRPC itself: a use case
// takes what it needs from Deps and fails with an AuthError.
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect } from '../domain/effect.ts';
import type { BudgetName, LimitName, NetworkLimit } from '../limits/limits.ts';
import type { TakeResult } from '../limits/take-from.ts';

/** A budget without a key counts for the whole deployment. */
export type Budget = { limit: BudgetName; key?: string };

/** A limit by network counts the caller's address, so it needs no key. */
export type Attempt = (
  | { limit: NetworkLimit }
  | { limit: Exclude<LimitName, NetworkLimit | BudgetName>; key: string }
) & {
  /** Each counts the attempt when it is allowed, and tightens its limit while the budget is exceeded. */
  budgets?: Budget[];
  /** Returns effects to write beside the audit event of the first rejection in a window. */
  onFirstRejection?: () => Promise<Effect[]>;
};

/** Attempts that were allowed and counted. */
export type Permit = {
  /** Returns the points, for limits that count failures only. */
  giveBack(): Promise<void>;
  /** Runs the work. An error of the work shows nothing about the attempt, so it returns the points. */
  giveBackOnError<T>(work: () => Promise<T>): Promise<T>;
};

/** The account, user or session that the audit event names. */
type AuditSubject = { account?: string; userId?: string; sessionId?: string };
type LimitDeps = Pick<Deps, 'limiter' | 'store' | 'now'>;

/**
 * Counts each attempt in turn and stops at the first exceeded limit. A rejected attempt counts against that limit only. The first
 * rejection of a window is audited. Later ones are not, so that an attack does not fill the audit trail.
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

/** Counts in each budget without rejecting. The first attempt of a window that exceeds a budget is audited. */
export async function spendBudgets(deps: LimitDeps, budgets: Budget[], call: Call): Promise<void> {
  const distinct = new Map(budgets.map(({ limit, key = 'all' }) => [`${limit}:${key}`, { limit, key }]));
  await Promise.all(
    [...distinct.values()].map(async ({ limit, key }) => {
      const { isFirstRejection } = await deps.limiter.take(limit, key);
      if (isFirstRejection) await auditRejection(deps, { limit, subject: {} }, call);
    }),
  );
}

/** Milliseconds until none of the budgets is exceeded. */
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
