import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { type Factor, parseFactorName } from '../domain/factor.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { UserCaller } from '../domain/principal.ts';
import { parseUuid } from '../domain/uuid.ts';
import { countChange } from './count-change.ts';

export type RenameFactorInput = { principal: UserCaller; factorId: string; name: string };

/** @throws AuthError FACTOR_NOT_FOUND */
export async function renameFactor(
  deps: Pick<Deps, 'store' | 'limiter' | 'now'>,
  input: RenameFactorInput,
  call: Call,
): Promise<Factor> {
  const { userId, sessionId } = input.principal;
  const { factor_id: id, name } = parseFields({
    factor_id: () => parseUuid(input.factorId),
    name: () => parseFactorName(input.name),
  });
  await countChange(deps, input.principal, call);
  const event = { type: 'factor_renamed', userId, sessionId, target: `factor:${id}`, origin: call.origin } as const;
  const renamed = await deps.store.factors.rename(userId, id, name, deps.now(), [audit(event)]);
  if (!renamed) throw new AuthError('FACTOR_NOT_FOUND');
  return renamed;
}
