import type { Deps } from '../deps.ts';
import { parseAudiences } from '../domain/audience.ts';
import type { Call } from '../domain/call.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { type ChallengeDeps, type OfferedChallenge, passkeyAloneOptions, startChallenge } from './challenges.ts';
import { type Attempt, enforceLimits } from './enforce-limits.ts';

/** The request names no account: the passkey does. @param input `audiences` is empty for all audiences */
export async function startPasskeySignIn(
  deps: ChallengeDeps & Pick<Deps, 'limiter' | 'tokenSettings'>,
  input: { audiences: string[] },
  call: Call,
): Promise<OfferedChallenge> {
  const { audiences } = parseFields({
    audiences: () => parseAudiences(input.audiences, deps.tokenSettings.audiences),
  });
  const attempt: Attempt = { limit: 'PASSKEY_SIGN_IN_NETWORK', budgets: [{ limit: 'GLOBAL_SIGN_INS' }] };
  await enforceLimits(deps, { attempts: [attempt] }, call);
  const { id, bytes, expiresAt } = await startChallenge(deps, { purpose: 'passkey_sign_in', audiences }, call);
  const passkeyRequestOptions = passkeyAloneOptions(deps, bytes);
  return { id, expiresAt, kinds: ['passkey'], passkeyRequestOptions, enrolment: null };
}
