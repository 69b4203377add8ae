import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import { enforceLimits, type Permit } from './enforce-limits.ts';

/** The failed second steps of a network. Give the permit back when the step succeeds. @throws AuthError RATE_LIMITED */
export function limitSecondSteps(deps: Pick<Deps, 'store' | 'limiter' | 'now'>, call: Call): Promise<Permit> {
  return enforceLimits(deps, { attempts: [{ limit: 'FACTOR_NETWORK' }] }, call);
}
