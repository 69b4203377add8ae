// The engine with somebody to ask: where the view of revocations is too old to tell, the state of record decides. When that
// cannot answer either, it is an error and never a "yes".
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

/** Asks the state of record about many at once, and answers in their order. @throws when it cannot tell */
type ReadStatuses = (tokens: RevocableToken[], signal?: AbortSignal) => Promise<RevocationStatus[]>;

export type Verifier = Omit<Engine, 'judge' | 'conclude'> & {
  /**
   * From memory alone, at once.
   * @param audience when not empty, the token must carry it
   * @returns null when the view is too old to tell
   */
  judge(token: string, audience: string): Verdict | null;
  /** As judge, and asks where that cannot tell. A verdict for each token, in their order. */
  judgeAll(tokens: string[], audience: string, signal?: AbortSignal): Promise<Verdict[]>;
  /** As judge, and asks when that cannot tell. @throws AuthError with the reason of a refusal */
  verify(token: string, audience: string, signal?: AbortSignal): Promise<Decision>;
};

export type VerifierOptions = EngineOptions & {
  readStatuses: ReadStatuses;
  /** Brings `useKeys` what the state of record has. @throws when it cannot tell */
  refreshKeys: () => Promise<void>;
};

export function createVerifier({ readStatuses, refreshKeys, ...options }: VerifierOptions): Verifier {
  const { judge, conclude, ...rest } = createEngine(options);

  async function judgeAll(texts: string[], audience: string, signal?: AbortSignal): Promise<Verdict[]> {
    let judged = texts.map((text) => judge(text, audience));
    if (judged.some((one) => 'undecided' in one)) {
      // Where the view is old, so are the keys: one may have come since, and one may be good for nothing any more.
      await refreshKeys();
      signal?.throwIfAborted();
      judged = judged.map((one, n) => ('undecided' in one ? judge(texts[n] ?? '', audience) : one));
    }
    const undecided = judged.flatMap((one) => ('undecided' in one ? (one.undecided ?? []) : []));
    const statuses = undecided.length === 0 ? [] : await readStatuses(undecided.map(revocableToken), signal);
    let next = 0;
    return judged.map((one) => {
      if (!('undecided' in one)) return one;
      if (!one.undecided) return { reason: 'TOKEN_INVALID' };
      const status = statuses[next++];
      if (!status) throw new Error('the state of record has not answered for every session');
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

    async verify(text, audience, signal) {
      const [verdict] = await judgeAll([text], audience, signal);
      if (!verdict) throw new Error('there is no verdict');
      if ('reason' in verdict) throw new AuthError(verdict.reason);
      return verdict.decision;
    },
  };
}
