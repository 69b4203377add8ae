import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import type { Verdict } from '../verifier/engine.ts';

export type BatchVerifyInput = { accessTokens: string[]; audience: string };

export const MAX_BATCH = 1_000;

/** In the order of the tokens. */
export async function batchVerify(
  deps: Pick<Deps, 'verifier'>,
  input: BatchVerifyInput,
  { signal }: Call,
): Promise<Verdict[]> {
  const { access_tokens: tokens } = parseFields({ access_tokens: () => parseTokens(input.accessTokens) });
  return deps.verifier.judgeAll(tokens, input.audience, signal);
}

function parseTokens(tokens: string[]): string[] {
  if (tokens.length === 0 || tokens.length > MAX_BATCH) throw new InvalidValue(`must be 1 to ${MAX_BATCH} tokens`);
  return tokens;
}
