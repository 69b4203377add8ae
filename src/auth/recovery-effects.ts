import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect, mail } from '../domain/effect.ts';
import type { User } from '../domain/user.ts';
import type { FactorUse } from '../store/factor-uses.ts';

/** The owner receives a mail with each use of a recovery code. There are none for another proof. */
export async function recoveryEffects(
  { store }: Pick<Deps, 'store'>,
  { id: userId, email }: User,
  use: FactorUse,
  { origin }: Call,
): Promise<(sessionId: string) => Effect[]> {
  if (use.kind !== 'recovery_code') return () => [];
  const codesLeft = (await store.factors.recoveryCodesLeft(userId)) - 1;
  return (sessionId) => [
    audit({ type: 'recovery_code_used', userId, sessionId, detail: String(codesLeft), origin }),
    mail({ template: 'recovery-code-used', userId, email, codesLeft }),
  ];
}
