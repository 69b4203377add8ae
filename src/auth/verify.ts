import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import { tokenToVerify } from '../domain/bearer-token.ts';
import type { Call } from '../domain/call.ts';
import type { Decision } from '../verifier/engine.ts';

/** @param credential the token that authorizes the call, examined when accessToken is empty */
export type VerifyInput = { accessToken: string; audience: string; credential: string };

/** @throws AuthError TOKEN_INVALID, TOKEN_EXPIRED, AUDIENCE_MISMATCH, TOKEN_REVOKED, TOKEN_STALE or CREDENTIALS_MISSING */
export async function verify(deps: Pick<Deps, 'verifier'>, input: VerifyInput, { signal }: Call): Promise<Decision> {
  const token = tokenToVerify(input.accessToken, input.credential);
  if (token === '') throw new AuthError('CREDENTIALS_MISSING');
  return deps.verifier.verify(token, input.audience, signal);
}
