import type { Deps } from '../deps.ts';
import { isApiKey } from '../domain/api-key.ts';
import type { Call } from '../domain/call.ts';
import { acceptedClaims } from '../verifier/access-token.ts';

/** Members of RFC 7662 section 2.2, with the names of claims. Times are seconds since 1970. */
export type Introspection = {
  iss: string;
  sub: string;
  aud: string[];
  client_id: string;
  exp: number;
  roles: string[];
  /** Id of the session or of the API key. */
  sid: string;
  /** An API key has neither. */
  iat?: number;
  jti?: string;
  /** Only users have both. */
  email?: string;
  email_verified?: boolean;
};

export type IntrospectTokenInput = { token: string };

/**
 * Null for a token that a resource server must not accept. Refresh tokens are among them: as access tokens they would
 * live for months.
 * @throws AuthError when neither memory nor Postgres can decide
 */
export async function introspectToken(
  deps: Pick<Deps, 'verifier' | 'apiKeys' | 'tokenSettings'>,
  { token }: IntrospectTokenInput,
  call: Call,
): Promise<Introspection | null> {
  if (isApiKey(token)) return introspectApiKey(deps, token, call);
  const [verdict] = await deps.verifier.judgeAll([token], '', call.signal);
  if (!verdict || 'reason' in verdict) return null;
  const { iss, sub, aud, client_id, exp, iat, jti, sid, roles, email, email_verified } = acceptedClaims(
    verdict.decision.token.text,
  );
  return { iss, sub, aud, client_id, exp, iat, jti, sid, roles, ...(email !== undefined && { email, email_verified }) };
}

/** A key can obtain a token for every audience. */
async function introspectApiKey(
  { apiKeys, tokenSettings }: Pick<Deps, 'apiKeys' | 'tokenSettings'>,
  key: string,
  call: Call,
): Promise<Introspection | null> {
  const holder = await apiKeys.lookUp(key, call);
  if (!holder) return null;
  const { serviceAccountId: sub, keyId: sid, name, roles, until } = holder;
  const { issuer: iss, audiences: aud } = tokenSettings;
  return { iss, sub, aud, client_id: name, exp: Math.floor(until.getTime() / 1000), sid, roles };
}
