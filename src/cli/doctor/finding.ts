// The result of one look of `doctor`, and the findings that several looks share.
import { operatorMessage } from '../../process/operator-error.ts';

type State = 'ok' | 'warning' | 'failed';
/** `mend` is the remedy; empty when nothing is wrong. */
export type Finding = { check: string; state: State; what: string; mend: string };

export const TIMEOUT_MS = 5_000;
/** Tokens are accepted that were issued up to 60 seconds ahead. */
const CLOCK_WARNING_MS = 1_000;
const CLOCK_FAILURE_MS = 30_000;

export function ok(check: string, what: string): Finding {
  return { check, state: 'ok', what, mend: '' };
}

export function clockFinding(check: string, differenceMs: number): Finding {
  const what = `differs by ${Math.round(Math.abs(differenceMs))} ms`;
  const mend = 'let NTP set the clocks of both machines';
  if (Math.abs(differenceMs) > CLOCK_FAILURE_MS) return { check, state: 'failed', what, mend };
  return Math.abs(differenceMs) > CLOCK_WARNING_MS ? { check, state: 'warning', what, mend } : ok(check, what);
}

export function failure(check: string, error: unknown, mend: string): Finding {
  const said = operatorMessage(error) ?? (error instanceof Error ? error.message : String(error));
  return { check, state: 'failed', what: said.split('\n', 1)[0] || 'no answer', mend };
}
