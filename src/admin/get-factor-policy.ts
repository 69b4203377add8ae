import type { Deps } from '../deps.ts';
import type { StoredFactorPolicy } from '../store/factor-policies.ts';

export function getFactorPolicy({ store }: Pick<Deps, 'store'>): Promise<StoredFactorPolicy> {
  return store.factorPolicies.get();
}
