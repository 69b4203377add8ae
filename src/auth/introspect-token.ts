import type { Deps } from '../deps.ts';
import type { Acr, RequiredStrength } from '../domain/acr.ts';
import { isApiKey } from '../domain/api-key.ts';
import type { Call } from '../domain/call.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import { type Subject, type UnmetReason, unmetReason } from '../domain/requirement.ts';
import type { KeyHolder } from '../store/service-accounts.ts';
import { acceptedClaims } from '../verifier/access-token.ts';
import type { Decision, Verdict } from '../verifier/engine.ts';

/** Members of RFC 7662 section 2.2, with the names of claims. Times are seconds since 1970. */
type Introspection = {
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
  /** Only users have these. RFC 9470 section 6.2 has the last three. */
  email?: string;
  email_verified?: boolean;
  acr?: Acr;
  amr?: string[];
  /** Unknown for a token of the release before. */
  auth_time?: number;
};

/** The token is valid, and does not meet the required strength. */
export type Insufficient = { unmet: UnmetReason; required: RequiredStrength };

/** Null for a token that no resource server must accept. */
export type Introspected = Introspection | Insufficient | null;

export type IntrospectTokenInput = {
  token: string;
  /** Null for any strength. */
  strength: RequiredStrength | null;
};

export type IntrospectionDeps = Pick<Deps, 'verifier' | 'apiKeys' | 'tokenSettings' | 'now'>;
type ConcludingDeps = Pick<Deps, 'tokenSettings' | 'now'>;

/**
 * Refresh tokens are among those that must not be accepted: as access tokens they would live for months.
 * @throws AuthError when neither memory nor Postgres can decide
 */
export async function introspectToken(
  deps: IntrospectionDeps,
  { token, strength }: IntrospectTokenInput,
  call: Call,
): Promise<Introspected> {
  if (isApiKey(token)) {
    const holder = await deps.apiKeys.lookUp(token, call);
    return holder && introspectedKey(deps, holder, strength);
  }
  const [verdict] = await deps.verifier.judgeAll([token], '', call.signal);
  return verdict ? introspectedToken(deps, verdict, strength) : null;
}

/** Null when it takes a database query. */
export function introspectFromMemory(
  deps: ConcludingDeps & { verifier: Pick<Deps['verifier'], 'judge'>; apiKeys: Pick<Deps['apiKeys'], 'cached'> },
  { token, strength }: IntrospectTokenInput,
): { introspected: Introspected } | null {
  if (isApiKey(token)) {
    const holder = deps.apiKeys.cached(token);
    return holder && { introspected: introspectedKey(deps, holder, strength) };
  }
  const verdict = deps.verifier.judge(token, '');
  return verdict && { introspected: introspectedToken(deps, verdict, strength) };
}

function introspectedToken(deps: ConcludingDeps, verdict: Verdict, strength: RequiredStrength | null): Introspected {
  if ('reason' in verdict) return null;
  return insufficiency(deps, verdict.decision.principal, strength) ?? introspectionOf(verdict.decision);
}

function introspectedKey(deps: ConcludingDeps, holder: KeyHolder, strength: RequiredStrength | null): Introspected {
  const service: Subject = { kind: 'service', roles: holder.roles };
  return insufficiency(deps, service, strength) ?? introspectionOfKey(deps, holder);
}

function insufficiency(
  { now }: Pick<Deps, 'now'>,
  subject: Subject,
  required: RequiredStrength | null,
): Insufficient | null {
  const unmet = required && unmetReason(required, subject, now().getTime());
  return unmet && { unmet, required };
}

function introspectionOf({ token, principal }: Decision): Introspection {
  const { iss, sub, aud, client_id, exp, iat, jti, sid, roles } = acceptedClaims(token.text);
  return { iss, sub, aud, client_id, exp, iat, jti, sid, roles, ...(principal.kind === 'user' && ofUser(principal)) };
}

function ofUser({ email, emailVerified, acr, amr, authTime }: UserPrincipal) {
  const strength = { acr, amr, ...(authTime && { auth_time: authTime.getTime() / 1000 }) };
  return { email, email_verified: emailVerified, ...strength };
}

/** A key can obtain a token for every audience. */
function introspectionOfKey({ tokenSettings }: Pick<Deps, 'tokenSettings'>, holder: KeyHolder): Introspection {
  const { serviceAccountId: sub, keyId: sid, name, roles, until } = holder;
  const { issuer: iss, audiences: aud } = tokenSettings;
  return { iss, sub, aud, client_id: name, exp: Math.floor(until.getTime() / 1000), sid, roles };
}
