import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { ApiKey } from '../store/service-accounts.ts';

/** The oldest first, including revoked and expired keys. @throws AuthError SERVICE_ACCOUNT_NOT_FOUND */
export async function listApiKeys(
  { store }: Pick<Deps, 'store'>,
  { serviceAccountId }: { serviceAccountId: string },
): Promise<ApiKey[]> {
  const { service_account_id: id } = parseFields({ service_account_id: () => parseUuid(serviceAccountId) });
  if (!(await store.serviceAccounts.byId(id))) throw new AuthError('SERVICE_ACCOUNT_NOT_FOUND');
  return store.serviceAccounts.keysOf(id);
}
