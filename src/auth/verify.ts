import { AuthError } from '../domain/auth-error.ts';
import { tokenToVerify } from '../domain/bearer-token.ts';
import type { Call } from '../domain/call.ts';
import type { Decision } from '../verifier/engine.ts';
import { type JudgeDeps, judgeCredential } from './judge-credentials.ts';

/** @param credential the credential that authorizes the call, examined when accessToken is empty */
export type VerifyInput = { accessToken: string; audience: string; credential: string; acceptApiKeys: boolean };

/**
 * @throws AuthError TOKEN_INVALID, TOKEN_EXPIRED, AUDIENCE_MISMATCH, TOKEN_REVOKED, TOKEN_STALE, API_KEY_NOT_ACCEPTED or
 * CREDENTIALS_MISSING
 */
export async function verify(deps: JudgeDeps, input: VerifyInput, call: Call): Promise<Decision> {
  const credential = tokenToVerify(input.accessToken, input.credential);
  if (credential === '') throw new AuthError('CREDENTIALS_MISSING');
  const terms = { audience: input.audience, acceptsApiKeys: input.acceptApiKeys };
  const verdict = await judgeCredential(deps, credential, terms, call);
  if ('reason' in verdict) throw new AuthError(verdict.reason);
  return verdict.decision;
}
