import { issueTokens } from '../auth/issue-tokens.ts';
import type { Deps } from '../deps.ts';
import { BY_PASSWORD } from '../domain/acr.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { Tokens } from '../domain/tokens.ts';
import { type CheckPasswordDeps, checkCurrentPassword } from './check-current-password.ts';
import { countChange } from './count-change.ts';

export type ReauthenticateInput = { principal: UserCaller; currentPassword: string };

/**
 * For an account without a second factor: the password alone never suffices for one that has it.
 * @throws AuthError REAUTHENTICATION_REQUIRED, PASSWORD_WRONG, or TOKEN_REVOKED when the session has ended or the password has just been changed
 */
export async function reauthenticate(
  deps: CheckPasswordDeps &
    Pick<Deps, 'signingKeys' | 'sessionUsers' | 'verifier' | 'purposeKeys' | 'tokenSettings' | 'newId'>,
  { principal, currentPassword }: ReauthenticateInput,
  call: Call,
): Promise<Tokens> {
  const { userId, sessionId } = principal;
  const { address, userAgent } = call.origin;
  const found = await deps.store.users.credentialsById(userId, call.signal);
  if (!found) throw new AuthError('TOKEN_REVOKED');
  await countChange(deps, principal, call);
  if ((await deps.store.factors.ofUser(userId, call.signal)).length > 0)
    throw new AuthError('REAUTHENTICATION_REQUIRED');
  const permit = await checkCurrentPassword(deps, principal, { credentials: found, currentPassword }, call);
  const grant = await deps.store.sessions.reauthenticate(
    { userId, sessionId, passwordEpoch: found.passwordEpoch, usedFactor: false },
    {
      sessionId,
      idleSeconds: deps.tokenSettings.sessionIdleSeconds,
      location: { address, userAgent },
      by: BY_PASSWORD,
    },
    { at: deps.now(), effects: [audit({ type: 'reauthenticated', userId, sessionId, origin: call.origin })] },
  );
  if (!grant) throw new AuthError('TOKEN_REVOKED');
  await permit.giveBack();
  return issueTokens(deps, grant);
}
