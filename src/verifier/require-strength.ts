import type { RequiredStrength } from '../domain/acr.ts';
import { tooOldAfterMs, unmetReason } from '../domain/requirement.ts';
import type { Verdict } from './engine.ts';

/** @param required null leaves the verdict as it is. An answer may be used no longer than the authentication is recent. */
export function requireStrength(verdict: Verdict, required: RequiredStrength | null, nowMs: number): Verdict {
  if (required === null || 'reason' in verdict) return verdict;
  const { decision } = verdict;
  const { principal, revalidateAt } = decision;
  const reason = unmetReason(required, principal, nowMs);
  if (reason !== null) return { reason, required };
  if (required.maxAgeSeconds === null || principal.kind === 'service') return verdict;
  const untilMs = tooOldAfterMs(principal, required.maxAgeSeconds);
  return untilMs < revalidateAt.getTime() ? { decision: { ...decision, revalidateAt: new Date(untilMs) } } : verdict;
}
