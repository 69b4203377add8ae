// Decides about the token in the session cookie of a browser. It is accepted in no other place, and no other token is
// accepted in the cookie.
import type { Deps } from '../deps.ts';
import { parseSessionToken } from '../keys/session-token.ts';
import type { AccessClaims } from '../verifier/access-token.ts';
import type { Verdict } from '../verifier/engine.ts';

export type JudgeSessionDeps = Pick<Deps, 'verifier' | 'purposeKeys' | 'now'> & {
  tokenSettings: Pick<Deps['tokenSettings'], 'issuer'>;
};

/** Null when it takes a database query. */
export function judgeSessionFromMemory(deps: JudgeSessionDeps, sessionToken: string, audience: string): Verdict | null {
  const claims = claimsOf(deps, sessionToken);
  return claims ? deps.verifier.judgeClaims(claims, audience) : { reason: 'TOKEN_INVALID' };
}

/** @throws when the revocation status is unavailable */
export async function judgeSession(
  deps: JudgeSessionDeps,
  sessionToken: string,
  audience: string,
  signal: AbortSignal,
): Promise<Verdict> {
  const claims = claimsOf(deps, sessionToken);
  return claims ? deps.verifier.judgeClaimsOnRecord(claims, audience, signal) : { reason: 'TOKEN_INVALID' };
}

function claimsOf({ purposeKeys, tokenSettings, now }: JudgeSessionDeps, sessionToken: string): AccessClaims | null {
  const { issuer } = tokenSettings;
  return parseSessionToken(sessionToken, { keys: purposeKeys.sessionTokens, issuer, nowMs: now().getTime() });
}
