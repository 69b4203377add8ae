import type { Deps } from '../deps.ts';
import type { ServiceAccount } from '../store/service-accounts.ts';

/** All of them, by name. */
export function listServiceAccounts({ store }: Pick<Deps, 'store'>): Promise<ServiceAccount[]> {
  return store.serviceAccounts.all();
}
