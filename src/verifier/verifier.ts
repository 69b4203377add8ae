// The decision engine: the one place that says whom an access token speaks for. Owns the order of the checks. Does no I/O,
// except that it asks when the view of revocations is too old to tell; when it cannot ask either, that is an error and never
// a "yes".
import { AuthError } from '../domain/auth-error.ts';
import type { Standing, StandingOf } from '../domain/change.ts';
import type { UserPrincipal } from '../domain/principal.ts';
import { type AccessClaims, keysByHeader, openAccessToken, type VerificationKey } from './access-token.ts';
import type { RevocationView } from './revocation-view.ts';
import { createTokenCache } from './token-cache.ts';

/** An authentic token. The same object answers for the same text as long as it is in the cache. */
export type VerifiedToken = {
  text: string;
  principal: UserPrincipal;
  audiences: string[];
  epoch: number;
  expiresAtMs: number;
  /** Where those who answer keep how they say this principal, so that it need not be said anew for each call. */
  rendered: { binary: Uint8Array | null; json: string | null };
};

export type RefusalReason = 'TOKEN_INVALID' | 'TOKEN_EXPIRED' | 'AUDIENCE_MISMATCH' | 'TOKEN_REVOKED' | 'TOKEN_STALE';

/** A token that speaks for somebody now. */
export type Decision = {
  token: VerifiedToken;
  principal: UserPrincipal;
  /** Until when a caller may keep this answer. */
  revalidateAt: Date;
};

export type Verdict = { decision: Decision } | { reason: RefusalReason };

/** Asks the state of record about many at once, and answers in their order. @throws when it cannot tell */
type AskStanding = (of: StandingOf[], signal?: AbortSignal) => Promise<Standing[]>;

export type Verifier = {
  /**
   * @param audience when not empty, the token must carry it
   * @returns null when the view is too old to tell
   */
  judge(token: string, audience: string): Verdict | null;
  /** As judge, and asks where that cannot tell. A verdict for each token, in their order. */
  judgeAll(tokens: string[], audience: string, signal?: AbortSignal): Promise<Verdict[]>;
  /** As judge, and asks when that cannot tell. @throws AuthError with the reason of a refusal */
  verify(token: string, audience: string, signal?: AbortSignal): Promise<Decision>;
  /** Spares this process the check of a token that it has signed itself. */
  remember(text: string, claims: AccessClaims): void;
  /** From now on only these keys count, and nothing that another one has signed. */
  useKeys(keys: VerificationKey[]): void;
  /** How much the cache of verified tokens holds, in bytes. */
  cachedBytes(): number;
};

export type VerifierOptions = {
  issuer: string;
  keys: VerificationKey[];
  /** How long a caller may keep an answer, in seconds. */
  revalidateSeconds: number;
  view: Pick<RevocationView, 'standing' | 'ageMs'>;
  /** How old the view may be to be believed, in milliseconds. */
  maxViewAgeMs: number;
  ask: AskStanding;
  /** Bound of the cache of verified tokens. */
  cacheBytes: number;
  now: () => Date;
};

/** Of each standing that is not live, what a token gets to hear. */
const REFUSALS = { ended: 'TOKEN_REVOKED', stale: 'TOKEN_STALE' } as const;

export function createVerifier(options: VerifierOptions): Verifier {
  const { issuer, view, maxViewAgeMs, ask, now } = options;
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

  /** What can be said without the session's standing: the reason of a refusal, or the token. */
  function open(text: string, audience: string, nowMs: number): VerifiedToken | RefusalReason {
    const token = authentic(text, nowMs);
    if (!token) return 'TOKEN_INVALID';
    if (token.expiresAtMs <= nowMs) return 'TOKEN_EXPIRED';
    if (audience !== '' && !token.audiences.includes(audience)) return 'AUDIENCE_MISMATCH';
    return token;
  }

  function conclude(token: VerifiedToken, standing: Standing, nowMs: number): Verdict {
    if (standing !== 'live') return { reason: REFUSALS[standing] };
    const revalidateAt = new Date(Math.min(nowMs + revalidateMs, token.expiresAtMs));
    return { decision: { token, principal: token.principal, revalidateAt } };
  }

  const canTell = () => view.ageMs() <= maxViewAgeMs;
  const standingOf = ({ principal, epoch }: VerifiedToken): StandingOf => ({
    sessionId: principal.sessionId,
    userId: principal.userId,
    epoch,
  });

  function judge(text: string, audience: string): Verdict | null {
    const nowMs = now().getTime();
    const token = open(text, audience, nowMs);
    if (typeof token === 'string') return { reason: token };
    return canTell() ? conclude(token, view.standing(standingOf(token)), nowMs) : null;
  }

  async function judgeAll(texts: string[], audience: string, signal?: AbortSignal): Promise<Verdict[]> {
    const nowMs = now().getTime();
    const tokens = texts.map((text) => open(text, audience, nowMs));
    const opened = tokens.filter((token) => typeof token !== 'string').map(standingOf);
    const standings = canTell() ? opened.map((of) => view.standing(of)) : await ask(opened, signal);
    let next = 0;
    return tokens.map((token) => {
      if (typeof token === 'string') return { reason: token };
      const standing = standings[next++];
      if (!standing) throw new Error('the state of record has not answered for every session');
      return conclude(token, standing, nowMs);
    });
  }

  return {
    judge,
    judgeAll,

    async verify(text, audience, signal) {
      const verdict = judge(text, audience) ?? (await judgeAll([text], audience, signal))[0];
      if (!verdict) throw new Error('there is no verdict');
      if ('reason' in verdict) throw new AuthError(verdict.reason);
      return verdict.decision;
    },

    remember: (text, claims) => cache.add(toVerified(text, claims)),

    useKeys(used) {
      const before = keys;
      keys = keysByHeader(used);
      // Whatever a key has signed dies with it.
      if ([...before.keys()].some((header) => !keys.has(header))) cache.clear();
    },

    cachedBytes: () => cache.bytes(),
  };
}

function toVerified(text: string, claims: AccessClaims): VerifiedToken {
  const expiresAtMs = claims.exp * 1000;
  return {
    text,
    principal: {
      kind: 'user',
      userId: claims.sub,
      sessionId: claims.sid,
      email: claims.email,
      roles: claims.roles,
      issuedAt: new Date(claims.iat * 1000),
      expiresAt: new Date(expiresAtMs),
    },
    audiences: claims.aud,
    epoch: claims.epoch,
    expiresAtMs,
    rendered: { binary: null, json: null },
  };
}
