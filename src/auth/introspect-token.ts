import type { Deps } from '../deps.ts';
import { isApiKey } from '../domain/api-key.ts';
import type { Call } from '../domain/call.ts';
import type { KeyHolder } from '../store/service-accounts.ts';
import { acceptedClaims } from '../verifier/access-token.ts';
import type { Verdict } from '../verifier/engine.ts';

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

export type IntrospectionDeps = Pick<Deps, 'verifier' | 'apiKeys' | 'tokenSettings'>;

/**
 * Null for a token that a resource server must not accept. Refresh tokens are among them: as access tokens they would
 * live for months.
 * @throws AuthError when neither memory nor Postgres can decide
 */
export async function introspectToken(
  deps: IntrospectionDeps,
  { token }: IntrospectTokenInput,
  call: Call,
): Promise<Introspection | null> {
  if (isApiKey(token)) return introspectApiKey(deps, token, call);
  const [verdict] = await deps.verifier.judgeAll([token], '', call.signal);
  return verdict ? introspectionOf(verdict) : null;
}

/** Null when it takes a database query. As introspectToken, `token` is null for a token that must not be accepted. */
export function introspectFromMemory(
  deps: Pick<Deps, 'verifier' | 'tokenSettings'> & { apiKeys: Pick<Deps['apiKeys'], 'cached'> },
  token: string,
): { token: Introspection | null } | null {
  if (isApiKey(token)) {
    const holder = deps.apiKeys.cached(token);
    return holder && { token: introspectionOfKey(deps, holder) };
  }
  const verdict = deps.verifier.judge(token, '');
  return verdict && { token: introspectionOf(verdict) };
}

function introspectionOf(verdict: Verdict): Introspection | null {
  if ('reason' in verdict) return null;
  const { iss, sub, aud, client_id, exp, iat, jti, sid, roles, email, email_verified } = acceptedClaims(
    verdict.decision.token.text,
  );
  return { iss, sub, aud, client_id, exp, iat, jti, sid, roles, ...(email !== undefined && { email, email_verified }) };
}

async function introspectApiKey(deps: IntrospectionDeps, key: string, call: Call): Promise<Introspection | null> {
  const holder = await deps.apiKeys.lookUp(key, call);
  return holder && introspectionOfKey(deps, holder);
}

/** A key can obtain a token for every audience. */
function introspectionOfKey({ tokenSettings }: Pick<Deps, 'tokenSettings'>, holder: KeyHolder): Introspection {
  const { serviceAccountId: sub, keyId: sid, name, roles, until } = holder;
  const { issuer: iss, audiences: aud } = tokenSettings;
  return { iss, sub, aud, client_id: name, exp: Math.floor(until.getTime() / 1000), sid, roles };
}
