import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { noteForLog } from '../process/log-context.ts';

/** The cause is for the audit trail and the log only. @throws AuthError CREDENTIALS_INVALID */
export async function rejectCredentials(
  deps: Pick<Deps, 'store' | 'now'>,
  { account, userId, cause }: { account: string; userId: string | null; cause: string },
  { origin }: Call,
): Promise<never> {
  noteForLog({ reason_detail: cause, ...(userId !== null && { user_id: userId }) });
  const event = { type: 'login_failed', account, detail: cause, origin } as const;
  await deps.store.outbox.write(deps.now(), [audit(userId === null ? event : { ...event, userId })]);
  throw new AuthError('CREDENTIALS_INVALID');
}
