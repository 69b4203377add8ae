import { keysChanged, position, type StreamMessage } from './stream.ts';
import { edDsa, NOW, userToken } from './tokens.ts';

type CaseVerdict =
  | 'VALID'
  | 'TOKEN_INVALID'
  | 'TOKEN_EXPIRED'
  | 'AUDIENCE_MISMATCH'
  | 'TOKEN_REVOKED'
  | 'TOKEN_STALE'
  | 'UNDECIDED';

/** A line of conformance/verdicts.jsonl, whose README describes the members. */
export type VerdictCase = {
  name: string;
  token: string;
  audience: string;
  messages: StreamMessage[];
  resumes_after?: number;
  verify_at_ms: number;
  max_staleness_ms: number;
  verdict: CaseVerdict;
};

/** Without other members: the valid token of a user, and a complete stream with its key. */
export function verdictCase(
  verdict: CaseVerdict,
  name: string,
  given: Partial<Omit<VerdictCase, 'name' | 'verdict'>> = {},
): VerdictCase {
  return {
    name,
    token: userToken(),
    audience: '',
    messages: [position([keysChanged([edDsa])])],
    verify_at_ms: NOW,
    max_staleness_ms: 5_000,
    ...given,
    verdict,
  };
}
