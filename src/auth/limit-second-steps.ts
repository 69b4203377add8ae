import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { ProofKind } from '../domain/factor.ts';
import { enforceLimits, type Permit } from './enforce-limits.ts';

/**
 * The failed second steps of a network: wrong codes lock no passkey out. Give the permit back when the step succeeds.
 * @throws AuthError RATE_LIMITED
 */
export function limitSecondSteps(
  deps: Pick<Deps, 'store' | 'limiter' | 'now'>,
  { kind }: { kind: ProofKind | 'passkey_registration' },
  call: Call,
): Promise<Permit> {
  const isCode = kind === 'totp' || kind === 'recovery_code';
  return enforceLimits(deps, { attempts: [{ limit: isCode ? 'FACTOR_CODE_NETWORK' : 'PASSKEY_NETWORK' }] }, call);
}
