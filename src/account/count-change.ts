import { enforceLimits } from '../auth/enforce-limits.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { UserCaller } from '../domain/principal.ts';

/** One user must not fill the audit trail. @throws AuthError RATE_LIMITED */
export async function countChange(
  deps: Pick<Deps, 'limiter' | 'store' | 'now'>,
  { userId, sessionId }: UserCaller,
  call: Call,
): Promise<void> {
  await enforceLimits(deps, { attempts: [{ limit: 'ACCOUNT_CHANGE_USER', key: userId }], userId, sessionId }, call);
}

/** By session, so that a thief in another session cannot prevent the owner's step-up. @throws AuthError RATE_LIMITED */
export async function countStepUp(
  deps: Pick<Deps, 'limiter' | 'store' | 'now'>,
  { userId, sessionId }: UserCaller,
  call: Call,
): Promise<void> {
  await enforceLimits(deps, { attempts: [{ limit: 'STEP_UP_SESSION', key: sessionId }], userId, sessionId }, call);
}
