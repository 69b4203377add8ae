// The engine together with the state of record, which decides when the revocation view is too old. When neither can
// decide, the verifier throws and accepts no token.
import { AuthError } from '../domain/auth-error.ts';
import type { RevocableToken, RevocationStatus } from '../domain/revocation-status.ts';
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

export type Verifier = Omit<Engine, 'judge'> & {
  /** Null when the view is too old. */
  judge(token: string, audience: string): Verdict | null;
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
  const engine = createEngine(options);
  const { judge, conclude } = engine;

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
    ...engine,

    judge(text, audience) {
      const verdict = judge(text, audience);
      return 'undecided' in verdict ? null : verdict;
    },

    judgeAll,

    async verify(text, audience, signal) {
      const [verdict] = await judgeAll([text], audience, signal);
      // Stryker disable next-line ConditionalExpression,CallExpression: only the type of the list allows it to be empty.
      if (!verdict) throw new Error('the verifier has returned no verdict');
      if ('reason' in verdict) throw new AuthError(verdict.reason);
      return verdict.decision;
    },
  };
}
