import { readChallenge } from '../auth/challenges.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import type { ChallengePurpose } from '../domain/challenge.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { Challenge } from '../store/challenges.ts';
import type { Credentials } from '../store/users.ts';

/**
 * A challenge of the caller's session, and the account, which has not changed since.
 * @throws AuthError CHALLENGE_INVALID, or CREDENTIALS_INVALID when the password has changed or the account is disabled
 */
export async function readOwnChallenge(
  deps: Pick<Deps, 'store' | 'purposeKeys' | 'now'>,
  { principal, challengeId }: { principal: UserCaller; challengeId: string },
  purpose: ChallengePurpose,
  call: Call,
): Promise<{ challenge: Challenge & { userId: string; bytes: Buffer }; credentials: Credentials }> {
  const { userId, sessionId } = principal;
  const challenge = await readChallenge(deps, challengeId, [purpose], call);
  if (challenge.userId !== userId || challenge.sessionId !== sessionId) throw new AuthError('CHALLENGE_INVALID');
  const credentials = await deps.store.users.credentialsById(userId, call.signal);
  const isUnchanged =
    credentials && !credentials.user.disabled && credentials.passwordEpoch === challenge.passwordEpoch;
  if (!isUnchanged) throw new AuthError('CREDENTIALS_INVALID');
  return { challenge: { ...challenge, userId }, credentials };
}
