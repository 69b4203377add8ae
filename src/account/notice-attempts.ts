import { type Attempt, enforceLimits } from '../auth/enforce-limits.ts';
import type { Deps } from '../deps.ts';
import { mailboxHash } from '../domain/account-hash.ts';
import type { Call } from '../domain/call.ts';
import type { User } from '../domain/user.ts';

/** The notice goes to the address of the account, which can belong to a stranger until it is verified. */
export function noticeAttempts(
  { purposeKeys }: Pick<Deps, 'purposeKeys'>,
  { email, emailVerified }: Pick<User, 'email' | 'emailVerified'>,
): Attempt[] {
  return emailVerified ? [] : [{ limit: 'NOTICE_ACCOUNT', key: mailboxHash(email, purposeKeys.accountHash) }];
}

/** For a change that has no other limit on its mails. @throws AuthError RATE_LIMITED */
export async function limitNotices(
  deps: Pick<Deps, 'limiter' | 'store' | 'now' | 'purposeKeys'>,
  user: User,
  call: Call,
): Promise<void> {
  await enforceLimits(deps, { attempts: noticeAttempts(deps, user), userId: user.id }, call);
}
