import type { Deps } from '../deps.ts';
import { chosenAudiences } from '../domain/audience.ts';
import { formatRefreshToken } from '../domain/refresh-token.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { Grant } from '../store/session-rows.ts';
import { CLIENT_ID } from '../verifier/access-token.ts';

/** The refresh token is the current one of the session, the same in each call. */
export async function issueTokens(
  deps: Pick<Deps, 'sessionUsers' | 'signingKeys' | 'verifier' | 'purposeKeys' | 'tokenSettings' | 'now' | 'newId'>,
  grant: Grant,
): Promise<Tokens> {
  const { issuer, audiences, accessTtlSeconds } = deps.tokenSettings;
  const { sessionId, counter, user, claimsEpoch, rolesEpoch, rolesUntil, strength } = grant;
  const issuedAt = Math.floor(deps.now().getTime() / 1000);
  // A token must expire before any role grant in it does.
  const ends = [grant.expiresAt, ...(rolesUntil ? [rolesUntil] : [])].map((end) => Math.floor(end.getTime() / 1000));
  const expiry = Math.min(issuedAt + accessTtlSeconds, ...ends);
  const claims = {
    iss: issuer,
    sub: user.id,
    aud: chosenAudiences(grant.audiences, audiences),
    client_id: CLIENT_ID,
    iat: issuedAt,
    exp: expiry,
    jti: deps.newId(),
    sid: sessionId,
    email: user.email,
    email_verified: user.emailVerified,
    refresh_counter: counter,
    acr: strength.acr,
    amr: strength.amr,
    auth_time: Math.floor(strength.authTime.getTime() / 1000),
    roles: user.roles,
    epoch: claimsEpoch,
    roles_epoch: rolesEpoch,
  };
  const accessToken = await deps.signingKeys.sign(claims);
  deps.verifier.remember(accessToken, claims);
  deps.sessionUsers.remember(sessionId, user.id);
  return {
    accessToken,
    expiresAt: new Date(expiry * 1000),
    refreshToken: formatRefreshToken({ sessionId, counter }, deps.purposeKeys.refreshTokens),
    refreshExpiresAt: grant.expiresAt,
  };
}
