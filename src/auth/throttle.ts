import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { LimitName } from '../limits/limits.ts';

export type Attempt = { limit: LimitName; key: string };

/** Attempts that were counted; a success gives them back where only failures are to count. */
export type Permit = { giveBack(): Promise<void> };

/**
 * Counts an attempt against each limit in turn, narrowest first, and stops at the first that is used up. The first
 * refusal of a window is audited; those that follow are not, so that an attack does not fill the trail.
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
  for (const { limit, key } of attempts) {
    const { allowed, isFirstRefusal, retryAfterMs } = await limiter.take(limit, key);
    if (allowed) continue;
    if (isFirstRefusal) await store.outbox.write(now(), [audit({ type: 'throttled', ...who, detail: limit, origin })]);
    throw new AuthError('RATE_LIMITED', { retryAfterMs });
  }
  return {
    async giveBack() {
      await Promise.all(attempts.map(({ limit, key }) => limiter.giveBack(limit, key)));
    },
  };
}
