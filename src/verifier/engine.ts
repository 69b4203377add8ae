// The decision engine: the one place that decides about an access token. Owns the order of the checks and does no I/O.
// It returns "undecided" for a token that memory cannot decide, and never accepts one by default. Servers and the
// client library share it.
import type { RequiredStrength } from '../domain/acr.ts';
import type { TokenPrincipal } from '../domain/principal.ts';
import { isForAudience, type UnmetReason } from '../domain/requirement.ts';
import type { RevocableToken, RevocationStatus } from '../domain/revocation-status.ts';
import {
  type AccessClaims,
  type Explanation,
  explainToken,
  keysByHeader,
  parseAccessToken,
  unknownKid,
  type VerificationKey,
} from './access-token.ts';
import type { RevocationView } from './revocation-view.ts';
import { createTokenCache } from './token-cache.ts';

/** The same object answers for the same text as long as it is in the cache. */
export type VerifiedToken = {
  text: string;
  principal: TokenPrincipal;
  userId: string;
  sessionId: string;
  audiences: string[];
  epoch: number;
  rolesEpoch: number;
  /** 0 for a service. */
  refreshCounter: number;
  expiresAtMs: number;
  /** The encoded principal, which the server keeps here for the next call with the same token. */
  rendered: { binary: Uint8Array | null; json: string | null };
};

/** The engine receives neither API keys nor requirements, so it returns neither of the first two. */
type RejectionReason =
  | 'API_KEY_NOT_ACCEPTED'
  | UnmetReason
  | 'TOKEN_INVALID'
  | 'TOKEN_EXPIRED'
  | 'AUDIENCE_MISMATCH'
  | 'TOKEN_REVOKED'
  | 'TOKEN_STALE';

export type Decision = {
  token: VerifiedToken;
  principal: TokenPrincipal;
  /** The caller may use this answer until then. */
  revalidateAt: Date;
};

/** `required`: the strength that the authentication does not have. */
export type Verdict = { decision: Decision } | { reason: RejectionReason; required?: RequiredStrength | undefined };

export type Engine = {
  /**
   * @param audience when not empty, the token must carry it
   * @returns `undecided` when the view is too old to show the revocation status: with the token when every other check
   * has passed, with null when the token names a key that is unusable, or unknown and perhaps newer than the view
   */
  judge(text: string, audience: string): Verdict | { undecided: VerifiedToken | null };
  /** For claims that the caller has authenticated in another way. Undecided as in `judge`. */
  judgeClaims(claims: AccessClaims, audience: string): Verdict | { undecided: VerifiedToken };
  conclude(token: VerifiedToken, status: RevocationStatus): Verdict;
  /** For log lines. Slow: it verifies the signature again. */
  explain(text: string): Explanation;
  /** The first check of a token that this process has signed is then a cache hit. */
  remember(text: string, claims: AccessClaims): void;
  /**
   * Tokens of keys that are missing from the list become invalid.
   * @param unusableKids valid keys that this process cannot use, whose tokens are therefore undecided
   */
  useKeys(keys: VerificationKey[], unusableKids?: string[]): void;
  cachedBytes(): number;
};

export type EngineOptions = {
  issuer: string;
  keys: VerificationKey[];
  unusableKids?: string[];
  revalidateSeconds: number;
  view: Pick<RevocationView, 'statusOf' | 'ageMs'>;
  maxViewAgeMs: number;
  cacheBytes: number;
  now: () => Date;
};

const REJECTION_REASONS = { revoked: 'TOKEN_REVOKED', stale: 'TOKEN_STALE' } as const;

export function createEngine(options: EngineOptions): Engine {
  const { issuer, view, maxViewAgeMs, now } = options;
  const revalidateMs = options.revalidateSeconds * 1000;
  const cache = createTokenCache<VerifiedToken>(options.cacheBytes);
  let keys = keysByHeader(options.keys);
  let unusableKids = new Set(options.unusableKids);

  function authenticate(text: string, nowMs: number): VerifiedToken | null {
    const known = cache.get(text);
    if (known) return known;
    const claims = parseAccessToken(text, keys, issuer, nowMs);
    if (!claims) return null;
    const token = toVerified(text, claims);
    cache.add(token);
    return token;
  }

  function conclude(token: VerifiedToken, status: RevocationStatus): Verdict {
    if (status !== 'active') return { reason: REJECTION_REASONS[status] };
    const revalidateAt = new Date(Math.min(now().getTime() + revalidateMs, token.expiresAtMs));
    return { decision: { token, principal: token.principal, revalidateAt } };
  }

  function judgeToken(token: VerifiedToken, audience: string, nowMs: number): Verdict | { undecided: VerifiedToken } {
    if (token.expiresAtMs <= nowMs) return { reason: 'TOKEN_EXPIRED' };
    if (audience !== '' && !isForAudience(token.audiences, audience)) return { reason: 'AUDIENCE_MISMATCH' };
    if (view.ageMs() > maxViewAgeMs) return { undecided: token };
    return conclude(token, view.statusOf(revocableToken(token)));
  }

  function mayBeOfOtherKey(text: string): boolean {
    const isTooOld = view.ageMs() > maxViewAgeMs;
    // Stryker disable next-line ConditionalExpression,EqualityOperator: the first condition only saves time.
    if (!isTooOld && unusableKids.size === 0) return false;
    const kid = unknownKid(text, keys);
    return kid !== null && (isTooOld || unusableKids.has(kid));
  }

  return {
    judge(text, audience) {
      const nowMs = now().getTime();
      const token = authenticate(text, nowMs);
      if (!token) {
        return mayBeOfOtherKey(text) ? { undecided: null } : { reason: 'TOKEN_INVALID' };
      }
      return judgeToken(token, audience, nowMs);
    },

    judgeClaims: (claims, audience) => judgeToken(toVerified('', claims), audience, now().getTime()),
    conclude,
    explain: (text) => explainToken(text, keys, issuer, now().getTime()),
    remember(text, claims) {
      // The key can be retired during the signing.
      if (keys.has(text.slice(0, text.indexOf('.')))) cache.add(toVerified(text, claims));
    },

    useKeys(used, unusable = []) {
      const before = keys;
      unusableKids = new Set(unusable);
      keys = keysByHeader(used);
      // Cached tokens of a removed key must become invalid at once.
      if ([...before.keys()].some((header) => !keys.has(header))) cache.clear();
    },

    cachedBytes: () => cache.bytes(),
  };
}

export function revocableToken({ principal, userId, sessionId, epoch, rolesEpoch }: VerifiedToken): RevocableToken {
  return { sessionId, userId, epoch, roles: principal.roles, rolesEpoch };
}

const NO_METHODS: string[] = [];

function principalOf(claims: AccessClaims): TokenPrincipal {
  // Stryker disable next-line BooleanLiteral: the claims of a user always have email_verified.
  const { sub, sid, client_id: name, email, email_verified: emailVerified = false, roles, iat, exp } = claims;
  const [issuedAt, expiresAt] = [new Date(iat * 1000), new Date(exp * 1000)];
  if (email === undefined) return { kind: 'service', serviceAccountId: sub, name, roles, issuedAt, expiresAt };
  const { acr = 'pwd', amr = NO_METHODS, auth_time: authSeconds } = claims;
  const authTime = authSeconds === undefined ? null : new Date(authSeconds * 1000);
  return {
    kind: 'user',
    userId: sub,
    sessionId: sid,
    email,
    emailVerified,
    acr,
    amr,
    authTime,
    roles,
    issuedAt,
    expiresAt,
  };
}

function toVerified(text: string, claims: AccessClaims): VerifiedToken {
  const expiresAtMs = claims.exp * 1000;
  return {
    text,
    principal: principalOf(claims),
    userId: claims.sub,
    sessionId: claims.sid,
    audiences: claims.aud,
    epoch: claims.epoch,
    rolesEpoch: claims.roles_epoch,
    refreshCounter: claims.refresh_counter ?? 0,
    expiresAtMs,
    rendered: { binary: null, json: null },
  };
}
