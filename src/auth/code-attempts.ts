import type { Deps } from '../deps.ts';
import { mailboxHash } from '../domain/account-hash.ts';
import type { Call } from '../domain/call.ts';
import { type Effect, mail } from '../domain/effect.ts';
import { type Attempt, spendBudgets } from './enforce-limits.ts';
import { MAILS } from './mail-attempts.ts';

type CodeDeps = Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now'>;

/** The limits on TOTP codes and recovery codes. The owner learns of exceeded ones: the caller passed the first step. */
export function codeAttempts(
  deps: CodeDeps,
  { userId, sessionId, passwordEpoch }: { userId: string; sessionId: string | null; passwordEpoch: number | null },
  call: Call,
): Attempt[] {
  const onFirstRejection = () => warnOwner(deps, userId, call);
  return [
    { limit: 'FACTOR_CODE_USER', key: sessionId ?? userId, onFirstRejection },
    { limit: 'FACTOR_CODE_USER_DAY', key: sessionId ?? `${userId}:${passwordEpoch ?? ''}`, onFirstRejection },
  ];
}

async function warnOwner(deps: CodeDeps, userId: string, call: Call): Promise<Effect[]> {
  const user = await deps.store.users.byId(userId, call.signal);
  if (!user) return [];
  const { email } = user;
  const key = mailboxHash(email, deps.purposeKeys.accountHash);
  const { allowed } = await deps.limiter.take('WRONG_CODES_MAIL_ACCOUNT', key);
  if (!allowed) return [];
  await spendBudgets(deps, [MAILS], call);
  return [mail({ template: 'wrong-codes', userId, email })];
}
