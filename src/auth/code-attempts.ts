import type { Deps } from '../deps.ts';
import { type Effect, mail } from '../domain/effect.ts';
import type { Challenge } from '../store/challenges.ts';
import type { Attempt } from './enforce-limits.ts';

type Guessed = Pick<Challenge, 'sessionId' | 'passwordEpoch'> & { userId: string };

/** The limits on TOTP codes and recovery codes. By session, a thief in one cannot block the step-ups of the others. */
export function codeAttempts({ userId, sessionId, passwordEpoch }: Guessed): Attempt[] {
  return [
    { limit: 'FACTOR_CODE_USER', key: sessionId ?? userId },
    { limit: 'FACTOR_CODE_USER_DAY', key: sessionId ?? `${userId}:${passwordEpoch}` },
    { limit: 'FACTOR_CODE_USER_WEEK', key: userId },
  ];
}

/** For a wrong code: a notice to the owner, once a day, because the caller has passed the first step. */
export async function wrongCodeEffects(
  { store, limiter }: Pick<Deps, 'store' | 'limiter'>,
  userId: string,
): Promise<Effect[]> {
  const { isFirstRejection } = await limiter.take('WRONG_CODE_NOTICE', userId);
  const user = isFirstRejection ? await store.users.byId(userId) : null;
  return user ? [mail({ template: 'wrong-codes', userId, email: user.email })] : [];
}
