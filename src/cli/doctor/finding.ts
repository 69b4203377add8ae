// The result of one check of `doctor`, and the findings that several checks share.
import { operatorMessage } from '../../process/operator-error.ts';

type State = 'ok' | 'warning' | 'failed';
export type Finding = { check: string; state: State; result: string; remedy: string };

export const TIMEOUT_MS = 5_000;
const CLOCK_WARNING_MS = 1_000;
/** Half of the 60 seconds by which the time of issue of an accepted token can be ahead. */
const CLOCK_FAILURE_MS = 30_000;

export function ok(check: string, result: string): Finding {
  return { check, state: 'ok', result, remedy: '' };
}

export function clockFinding(check: string, differenceMs: number): Finding {
  const result = `differs by ${Math.round(Math.abs(differenceMs))} ms`;
  const remedy = 'let NTP set the clocks of both machines';
  if (Math.abs(differenceMs) > CLOCK_FAILURE_MS) return { check, state: 'failed', result, remedy };
  return Math.abs(differenceMs) > CLOCK_WARNING_MS ? { check, state: 'warning', result, remedy } : ok(check, result);
}

export function failure(check: string, error: unknown, remedy: string): Finding {
  const message = operatorMessage(error) ?? (error instanceof Error ? error.message : String(error));
  return { check, state: 'failed', result: message.split('\n', 1)[0] || 'no answer', remedy };
}
