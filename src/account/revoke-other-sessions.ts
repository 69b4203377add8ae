import { enforceLimits } from '../auth/enforce-limits.ts';
import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { UserCaller } from '../domain/principal.ts';
import { assertReauthenticated, type ReauthenticationDeps } from './assert-reauthenticated.ts';

export type RevokeOtherSessionsInput = { principal: UserCaller; currentPassword: string };

export async function revokeOtherSessions(
  deps: ReauthenticationDeps & Pick<Deps, 'revocationFeed'>,
  { principal, currentPassword }: RevokeOtherSessionsInput,
  call: Call,
): Promise<number> {
  const { userId, sessionId: allBut } = principal;
  await enforceLimits(
    deps,
    { attempts: [{ limit: 'REVOCATION_SESSION', key: allBut }], userId, sessionId: allBut },
    call,
  );
  const { owner } = await assertReauthenticated(
    deps,
    // Counted by session: a thief in another session cannot use up the attempts that the owner needs to end it.
    { principal, currentPassword, attempts: [{ limit: 'CHANGE_PASSWORD_USER', key: allBut }] },
    call,
  );
  const ended = await deps.store.sessions.endOfOwner(
    owner,
    { allBut },
    {
      at: deps.now(),
      effects: (ids) =>
        ids.map((sessionId) => audit({ type: 'session_revoked', userId, sessionId, origin: call.origin })),
    },
  );
  if (ended === null) throw new AuthError('TOKEN_REVOKED');
  if (ended > 0) await deps.revocationFeed.catchUp();
  return ended;
}
