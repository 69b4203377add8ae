import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { CountedLimit } from '../limits/counted-limits.ts';
import { LimitsUnavailable } from '../limits/limits-unavailable.ts';
import type { MailRecord } from '../store/merge-mails.ts';
import type { SignIn } from '../store/user-history.ts';
import { type CountedAccountDeps, countedAccountOf } from './counted-account.ts';

export type UserActivity = {
  /** Null while Redis does not answer: the other answers do not depend on it. */
  limits: CountedLimit[] | null;
  signIns: SignIn[];
  mails: MailRecord[];
};

/** The number of each kind. The audit trail has the others. */
const LATEST = 20;

/** @throws AuthError USER_NOT_FOUND */
export async function getUserActivity(
  deps: CountedAccountDeps & Pick<Deps, 'countedLimits'>,
  input: { userId: string },
): Promise<UserActivity> {
  const { user_id: userId } = parseFields({ user_id: () => parseUuid(input.userId) });
  const user = await deps.store.users.byId(userId);
  if (!user) throw new AuthError('USER_NOT_FOUND');
  const account = await countedAccountOf(deps, user);
  const limits = await deps.countedLimits.ofAccount(account).catch((error: unknown) => {
    if (error instanceof LimitsUnavailable) return null;
    throw error;
  });
  return { limits, ...(await recentHistory(deps, user)) };
}

export async function recentHistory(
  { store: { userHistory } }: Pick<Deps, 'store'>,
  user: { id: string; email: string },
): Promise<Omit<UserActivity, 'limits'>> {
  return { signIns: await userHistory.signIns(user.id, LATEST), mails: await userHistory.mails(user, LATEST) };
}
