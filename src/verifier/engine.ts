// The decision engine: the one place that says whom an access token speaks for. Owns the order of the checks. Free of I/O: what
// it cannot tell from memory it says so, and never "yes". Servers and the client library use the same one.

import type { TokenPrincipal } from '../domain/principal.ts';
import { isForAudience } from '../domain/requirement.ts';
import type { RevocableToken, RevocationStatus } from '../domain/revocation-status.ts';
import {
  type AccessClaims,
  isOfUnknownKey,
  keysByHeader,
  openAccessToken,
  type VerificationKey,
} from './access-token.ts';
import type { RevocationView } from './revocation-view.ts';
import { createTokenCache } from './token-cache.ts';

/** An authentic token. The same object answers for the same text as long as it is in the cache. */
export type VerifiedToken = {
  text: string;
  principal: TokenPrincipal;
  /** `sub` and `sid`: of a service, its account and its key. */
  userId: string;
  sessionId: string;
  audiences: string[];
  epoch: number;
  rolesEpoch: number;
  /** Of a service 0. */
  refreshCounter: number;
  expiresAtMs: number;
  /** Where those who answer keep how they say this principal, so that it need not be said anew for each call. */
  rendered: { binary: Uint8Array | null; json: string | null };
};

export type RefusalReason = 'TOKEN_INVALID' | 'TOKEN_EXPIRED' | 'AUDIENCE_MISMATCH' | 'TOKEN_REVOKED' | 'TOKEN_STALE';

/** A token that speaks for somebody now. */
export type Decision = {
  token: VerifiedToken;
  principal: TokenPrincipal;
  /** Until when a caller may keep this answer. */
  revalidateAt: Date;
};

export type Verdict = { decision: Decision } | { reason: RefusalReason };

export type Engine = {
  /**
   * @param audience when not empty, the token must carry it
   * @returns the token alone when all but its revocation status is fine, and the view is too old to tell that; null in its place when
   *   its key is not known, and may be one that has come since
   */
  judge(text: string, audience: string): Verdict | { undecided: VerifiedToken | null };
  /** The verdict on an undecided token, by whoever knows what has become of its session. */
  conclude(token: VerifiedToken, status: RevocationStatus): Verdict;
  /** Spares this process the check of a token that it has signed itself. */
  remember(text: string, claims: AccessClaims): void;
  /** From now on only these keys count, and nothing that another one has signed. */
  useKeys(keys: VerificationKey[]): void;
  /** How much the cache of verified tokens holds, in bytes. */
  cachedBytes(): number;
};

export type EngineOptions = {
  issuer: string;
  keys: VerificationKey[];
  /** How long a caller may keep an answer, in seconds. */
  revalidateSeconds: number;
  view: Pick<RevocationView, 'statusOf' | 'ageMs'>;
  /** How old the view may be to be believed, in milliseconds. */
  maxViewAgeMs: number;
  /** Bound of the cache of verified tokens. */
  cacheBytes: number;
  now: () => Date;
};

/** The refusal reason of each revocation status. */
const REFUSALS = { revoked: 'TOKEN_REVOKED', stale: 'TOKEN_STALE' } as const;

export function createEngine(options: EngineOptions): Engine {
  const { issuer, view, maxViewAgeMs, now } = options;
  const revalidateMs = options.revalidateSeconds * 1000;
  const cache = createTokenCache<VerifiedToken>(options.cacheBytes);
  let keys = keysByHeader(options.keys);

  function authentic(text: string, nowMs: number): VerifiedToken | null {
    const known = cache.get(text);
    if (known) return known;
    const claims = openAccessToken(text, keys, issuer, nowMs);
    if (!claims) return null;
    const token = toVerified(text, claims);
    cache.add(token);
    return token;
  }

  function conclude(token: VerifiedToken, status: RevocationStatus): Verdict {
    if (status !== 'active') return { reason: REFUSALS[status] };
    const revalidateAt = new Date(Math.min(now().getTime() + revalidateMs, token.expiresAtMs));
    return { decision: { token, principal: token.principal, revalidateAt } };
  }

  return {
    judge(text, audience) {
      const nowMs = now().getTime();
      const token = authentic(text, nowMs);
      if (!token) {
        const mayBeNewer = view.ageMs() > maxViewAgeMs && isOfUnknownKey(text, keys);
        return mayBeNewer ? { undecided: null } : { reason: 'TOKEN_INVALID' };
      }
      if (token.expiresAtMs <= nowMs) return { reason: 'TOKEN_EXPIRED' };
      if (audience !== '' && !isForAudience(token.audiences, audience)) return { reason: 'AUDIENCE_MISMATCH' };
      if (view.ageMs() > maxViewAgeMs) return { undecided: token };
      return conclude(token, view.statusOf(revocableToken(token)));
    },

    conclude,
    remember(text, claims) {
      // Its key may have gone while it was signed.
      if (keys.has(text.slice(0, text.indexOf('.')))) cache.add(toVerified(text, claims));
    },

    useKeys(used) {
      const before = keys;
      keys = keysByHeader(used);
      // Whatever a key has signed dies with it.
      if ([...before.keys()].some((header) => !keys.has(header))) cache.clear();
    },

    cachedBytes: () => cache.bytes(),
  };
}

export function revocableToken({ principal, userId, sessionId, epoch, rolesEpoch }: VerifiedToken): RevocableToken {
  return { sessionId, userId, epoch, roles: principal.roles, rolesEpoch };
}

function principalOf(claims: AccessClaims): TokenPrincipal {
  const { sub, sid, client_id: name, email, email_verified: emailVerified = false, roles, iat, exp } = claims;
  const times = { issuedAt: new Date(iat * 1000), expiresAt: new Date(exp * 1000) };
  if (email !== undefined) return { kind: 'user', userId: sub, sessionId: sid, email, emailVerified, roles, ...times };
  return { kind: 'service', serviceAccountId: sub, name, roles, ...times };
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
