// The engine together with the state of record, which decides when the revocation view is too old. When neither can
// decide, the verifier throws and accepts no token.
import { AuthError } from '../domain/auth-error.ts';
import type { RevocableToken, RevocationStatus } from '../domain/revocation-status.ts';
import type { AccessClaims } from './access-token.ts';
import {
  createEngine,
  type Decision,
  type Engine,
  type EngineOptions,
  revocableToken,
  type Verdict,
} from './engine.ts';

/** Returns the statuses in the order of the tokens. @throws when the state of record cannot be read */
type ReadStatuses = (tokens: RevocableToken[], signal?: AbortSignal) => Promise<RevocationStatus[]>;

export type Verifier = Omit<Engine, 'judge' | 'judgeClaims'> & {
  /** Null when the view is too old. */
  judge(token: string, audience: string): Verdict | null;
  /** For claims that the caller has authenticated in another way. Null when the view is too old. */
  judgeClaims(claims: AccessClaims, audience: string): Verdict | null;
  /** As judgeClaims, and reads the state of record when the view is too old. */
  judgeClaimsOnRecord(claims: AccessClaims, audience: string, signal?: AbortSignal): Promise<Verdict>;
  /** Reads the state of record for tokens that memory cannot decide. Verdicts are in the order of the tokens. */
  judgeAll(tokens: string[], audience: string, signal?: AbortSignal): Promise<Verdict[]>;
  /** @throws AuthError with the reason of a rejection */
  verify(token: string, audience: string, signal?: AbortSignal): Promise<Decision>;
};

export type VerifierOptions = EngineOptions & {
  readStatuses: ReadStatuses;
  /** @throws when the keys cannot be read from the state of record */
  refreshKeys: () => Promise<void>;
};

export function createVerifier({ readStatuses, refreshKeys, ...options }: VerifierOptions): Verifier {
  const { judge, judgeClaims, ...rest } = createEngine(options);
  const { conclude } = rest;

  async function judgeAll(texts: string[], audience: string, signal?: AbortSignal): Promise<Verdict[]> {
    let judged = texts.map((text) => judge(text, audience));
    if (judged.some((one) => 'undecided' in one)) {
      // With an old view the keys are old too: a key may be new, and another one retired.
      await refreshKeys();
      signal?.throwIfAborted();
      // Stryker disable next-line StringLiteral: there are as many texts as verdicts.
      judged = judged.map((one, n) => ('undecided' in one ? judge(texts[n] ?? '', audience) : one));
    }
    const undecided = judged.flatMap((one) => ('undecided' in one ? (one.undecided ?? []) : []));
    // Stryker disable next-line ArrayDeclaration: the list is not read without an undecided token.
    const statuses = undecided.length === 0 ? [] : await readStatuses(undecided.map(revocableToken), signal);
    let next = 0;
    return judged.map((one) => {
      if (!('undecided' in one)) return one;
      if (!one.undecided) return { reason: 'TOKEN_INVALID' };
      const status = statuses[next++];
      if (!status) throw new Error('the state of record has returned too few statuses');
      return conclude(one.undecided, status);
    });
  }

  return {
    ...rest,

    judge(text, audience) {
      const verdict = judge(text, audience);
      return 'undecided' in verdict ? null : verdict;
    },

    judgeAll,

    judgeClaims(claims, audience) {
      const judged = judgeClaims(claims, audience);
      return 'undecided' in judged ? null : judged;
    },

    async judgeClaimsOnRecord(claims, audience, signal) {
      const judged = judgeClaims(claims, audience);
      if (!('undecided' in judged)) return judged;
      const [status] = await readStatuses([revocableToken(judged.undecided)], signal);
      if (!status) throw new Error('the state of record has returned no status');
      return conclude(judged.undecided, status);
    },

    async verify(text, audience, signal) {
      const [verdict] = await judgeAll([text], audience, signal);
      // Stryker disable next-line ConditionalExpression,CallExpression: only the type of the list allows it to be empty.
      if (!verdict) throw new Error('the verifier has returned no verdict');
      if ('reason' in verdict) throw new AuthError(verdict.reason);
      return verdict.decision;
    },
  };
}
