import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { Taken } from '../limits/limiter.ts';
import type { LimitName } from '../limits/limits.ts';

export type Attempt = { limit: LimitName; key: string };

/** Attempts that were counted. */
export type Permit = {
  /** Takes them back: only failures are to count, and this was none. */
  giveBack(): Promise<void>;
  /** Does what the attempt is for; when that throws, it told nothing about the attempt, which is taken back. */
  unlessItThrows<T>(work: () => Promise<T>): Promise<T>;
};

/**
 * Counts an attempt against each limit in turn, and stops at the first that is used up: a refused attempt counts against
 * that one alone. The first refusal of a window is audited; those that follow are not, so that an attack does not fill
 * the trail.
 * @param who whom the audit event names
 * @throws AuthError RATE_LIMITED
 */
export async function throttle(
  deps: Pick<Deps, 'limiter' | 'store' | 'now'>,
  attempts: Attempt[],
  who: { account?: string; userId?: string; sessionId?: string },
  { origin }: Call,
): Promise<Permit> {
  const { limiter, store, now } = deps;
  const taken: Taken[] = [];
  const giveBack = async () => {
    await Promise.all(taken.map((one) => one.giveBack()));
  };
  for (const { limit, key } of attempts) {
    const one = await limiter.take(limit, key);
    if (one.allowed) {
      taken.push(one);
      continue;
    }
    await giveBack();
    const { isFirstRefusal, retryAfterMs } = one;
    if (isFirstRefusal) await store.outbox.write(now(), [audit({ type: 'throttled', ...who, detail: limit, origin })]);
    throw new AuthError('RATE_LIMITED', { retryAfterMs });
  }
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
