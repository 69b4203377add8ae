import { throttle } from '../auth/throttle.ts';
import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { UserCaller } from '../domain/principal.ts';

/**
 * Before any change that users make to their account, so that one of them cannot fill the audit trail.
 * @throws AuthError RATE_LIMITED
 */
export async function countChange(
  deps: Pick<Deps, 'limiter' | 'store' | 'now'>,
  { userId, sessionId }: UserCaller,
  call: Call,
): Promise<void> {
  await throttle(deps, [{ limit: 'ACCOUNT_CHANGE_USER', key: userId }], { userId, sessionId }, call);
}
