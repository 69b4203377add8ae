import type { Call } from '../domain/call.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { requiredStrength, strengthParsers } from '../domain/required-strength.ts';
import type { Verdict } from '../verifier/engine.ts';
import { type JudgeDeps, judgeCredentials } from './judge-credentials.ts';

/** `acr` and `maxAge` as in VerifyInput. */
export type BatchVerifyInput = {
  accessTokens: string[];
  audience: string;
  acceptApiKeys: boolean;
  acr: string;
  maxAge: number;
};

export const MAX_BATCH = 1_000;

/** In the order of the tokens. */
export async function batchVerify(deps: JudgeDeps, input: BatchVerifyInput, call: Call): Promise<Verdict[]> {
  const {
    access_tokens: tokens,
    acr,
    max_age: maxAge,
  } = parseFields({ access_tokens: () => parseTokens(input.accessTokens), ...strengthParsers(input) });
  const { audience, acceptApiKeys: acceptsApiKeys } = input;
  const terms = { audience, acceptsApiKeys, strength: requiredStrength(acr, maxAge) };
  return judgeCredentials(deps, tokens, terms, call);
}

function parseTokens(tokens: string[]): string[] {
  if (tokens.length === 0 || tokens.length > MAX_BATCH) throw new InvalidValue(`must be 1 to ${MAX_BATCH} tokens`);
  return tokens;
}
