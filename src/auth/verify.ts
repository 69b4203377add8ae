import { AuthError } from '../domain/auth-error.ts';
import { tokenToVerify } from '../domain/bearer-token.ts';
import type { Call } from '../domain/call.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { requiredStrength, strengthParsers } from '../domain/required-strength.ts';
import type { Decision } from '../verifier/engine.ts';
import { type JudgeDeps, judgeCredential } from './judge-credentials.ts';

/** @param credential the credential that authorizes the call, examined when accessToken is empty */
export type VerifyInput = {
  accessToken: string;
  audience: string;
  credential: string;
  acceptApiKeys: boolean;
  /** Empty for any. */
  acr: string;
  /** In seconds. 0 for any. */
  maxAge: number;
};

/**
 * @throws AuthError TOKEN_INVALID, TOKEN_EXPIRED, AUDIENCE_MISMATCH, TOKEN_REVOKED, TOKEN_STALE, API_KEY_NOT_ACCEPTED,
 * CREDENTIALS_MISSING, INVALID_ARGUMENT, STEP_UP_REQUIRED, or PERMISSION_DENIED for a service of which a strength is
 * required
 */
export async function verify(deps: JudgeDeps, input: VerifyInput, call: Call): Promise<Decision> {
  const { acr, max_age: maxAge } = parseFields(strengthParsers(input));
  const credential = tokenToVerify(input.accessToken, input.credential);
  if (credential === '') throw new AuthError('CREDENTIALS_MISSING');
  const strength = requiredStrength(acr, maxAge);
  const terms = { audience: input.audience, acceptsApiKeys: input.acceptApiKeys, strength };
  const verdict = await judgeCredential(deps, credential, terms, call);
  if ('reason' in verdict) throw new AuthError(verdict.reason, { required: verdict.required });
  return verdict.decision;
}
