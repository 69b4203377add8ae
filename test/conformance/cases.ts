import { algorithmCases } from './cases/algorithms.ts';
import { claimCases } from './cases/claims.ts';
import { eventCases } from './cases/events.ts';
import { formCases } from './cases/form.ts';
import { stalenessCases } from './cases/staleness.ts';
import type { VerdictCase } from './verdict-case.ts';

/** The table of verdicts, in the order of conformance/verdicts.jsonl. */
export function allCases(): VerdictCase[] {
  return [...algorithmCases(), ...formCases(), ...claimCases(), ...eventCases(), ...stalenessCases()];
}

export function toJsonLines(cases: VerdictCase[]): string {
  return cases.map((one) => `${JSON.stringify(one)}\n`).join('');
}
