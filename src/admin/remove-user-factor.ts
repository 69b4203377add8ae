import type { Deps } from '../deps.ts';
import { type Actor, actorName, requireReauthentication } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import { assertMayAdminister } from './authorize-admin.ts';

export type RemoveUserFactorInput = { actor: Actor; userId: string; factorId: string; reason: string };

/** Returns the number of sessions that ended. @throws AuthError USER_NOT_FOUND, FACTOR_NOT_FOUND or GRANT_NOT_ALLOWED */
export async function removeUserFactor(
  deps: Pick<Deps, 'store' | 'revocationFeed' | 'reauthenticationSeconds' | 'now'>,
  { actor, ...input }: RemoveUserFactorInput,
  { origin }: Call,
): Promise<number> {
  const {
    user_id: userId,
    factor_id: factorId,
    reason,
  } = parseFields({
    user_id: () => parseUuid(input.userId),
    factor_id: () => parseUuid(input.factorId),
    reason: () => parseReason(input.reason),
  });
  const event = { actor: actorName(actor), userId, target: `factor:${factorId}`, origin };
  const ended = await deps.store.userFactors.remove(
    { userId, factorId },
    {
      actor: requireReauthentication(actor, deps.reauthenticationSeconds),
      at: deps.now(),
      decide: assertMayAdminister,
      effects: ({ email }, { kind, createdAt, lastUsedAt }) => [
        audit({
          ...{ ...event, type: 'factor_removed', detail: `${kind}: ${reason}` },
          ...{ before: { kind, createdAt, lastUsedAt }, after: null },
        }),
        mail({ template: 'factor-removed', userId, email, kind }),
      ],
    },
  );
  if (ended === 'unknown user') throw new AuthError('USER_NOT_FOUND');
  if (ended === 'unknown factor') throw new AuthError('FACTOR_NOT_FOUND');
  await deps.revocationFeed.catchUp();
  return ended;
}
