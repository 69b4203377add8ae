import { type ChallengeDeps, type OfferedChallenge, offerChallenge } from '../auth/challenges.ts';
import type { Deps } from '../deps.ts';
import { parseAcr } from '../domain/acr.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { UserCaller } from '../domain/principal.ts';
import { countStepUp } from './count-change.ts';

/** @param input.acr the strength to reach; empty for any @throws AuthError FACTOR_MISSING */
export async function startStepUp(
  deps: ChallengeDeps & Pick<Deps, 'limiter'>,
  input: { principal: UserCaller; acr: string },
  call: Call,
): Promise<OfferedChallenge> {
  const { userId, sessionId } = input.principal;
  const { acr } = parseFields({ acr: () => parseAcr(input.acr) ?? 'pwd' });
  await countStepUp(deps, input.principal, call);
  const found = await deps.store.users.credentialsById(userId, call.signal);
  if (!found) throw new AuthError('TOKEN_REVOKED');
  const factors = await deps.store.factors.ofUser(userId, call.signal);
  const { passwordEpoch } = found;
  const challenge = { purpose: 'step_up', userId, sessionId, passwordEpoch, acr } as const;
  const offered = await offerChallenge(deps, challenge, factors, call);
  if (!offered) throw new AuthError('FACTOR_MISSING');
  return offered;
}
