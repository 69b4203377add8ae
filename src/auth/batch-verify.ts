import type { Call } from '../domain/call.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import type { Verdict } from '../verifier/engine.ts';
import { type JudgeDeps, judgeCredentials } from './judge-credentials.ts';

export type BatchVerifyInput = { accessTokens: string[]; audience: string; acceptApiKeys: boolean };

export const MAX_BATCH = 1_000;

/** In the order of the tokens. */
export async function batchVerify(deps: JudgeDeps, input: BatchVerifyInput, call: Call): Promise<Verdict[]> {
  const { access_tokens: tokens } = parseFields({ access_tokens: () => parseTokens(input.accessTokens) });
  const terms = { audience: input.audience, acceptsApiKeys: input.acceptApiKeys };
  return judgeCredentials(deps, tokens, terms, call);
}

function parseTokens(tokens: string[]): string[] {
  if (tokens.length === 0 || tokens.length > MAX_BATCH) throw new InvalidValue(`must be 1 to ${MAX_BATCH} tokens`);
  return tokens;
}
