import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { UserCaller } from '../domain/principal.ts';
import { parseUuid } from '../domain/uuid.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';
import { countChange } from './count-change.ts';
import { limitNotices } from './notice-attempts.ts';

export type RemoveFactorInput = { principal: UserCaller; factorId: string; currentPassword: string };

/**
 * Ends the other sessions that used the factor.
 * @returns how many ended
 * @throws AuthError FACTOR_NOT_FOUND, or FACTOR_REQUIRED when a policy or a role requires the factor
 */
export async function removeFactor(
  deps: ReauthenticationDeps & Pick<Deps, 'revocationFeed' | 'purposeKeys'>,
  input: RemoveFactorInput,
  call: Call,
): Promise<number> {
  const { userId, sessionId } = input.principal;
  const { factor_id: id } = parseFields({ factor_id: () => parseUuid(input.factorId) });
  await countChange(deps, input.principal, call);
  const { user, owner } = await assertReauthenticated(deps, input, call);
  await limitNotices(deps, user, call);
  const target = `factor:${id}`;
  const removed = await deps.store.factors.remove(owner, id, {
    at: deps.now(),
    effects: ({ kind }) => [
      audit({ type: 'factor_removed', userId, sessionId, target, detail: kind, origin: call.origin }),
      mail({ template: 'factor-removed', userId, email: user.email, kind }),
    ],
  });
  if (typeof removed === 'string') throw new AuthError(REASONS[removed]);
  await deps.revocationFeed.catchUp();
  return removed.endedIds.length;
}

const REASONS = { account: 'TOKEN_REVOKED', unknown: 'FACTOR_NOT_FOUND', required: 'FACTOR_REQUIRED' } as const;
