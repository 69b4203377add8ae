import type { Deps } from '../deps.ts';
import { cutPage, parsePageSize } from '../domain/page.ts';
import { formatPageToken, parsePageToken } from '../domain/page-token.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseServiceName } from '../domain/service-name.ts';
import type { ServiceAccount } from '../store/service-accounts.ts';

export type ListServiceAccountsInput = { pageSize: number; pageToken: string };

const QUERY = 'ListServiceAccounts';

/** In the order of their names. */
export async function listServiceAccounts(
  { store }: Pick<Deps, 'store'>,
  { pageSize, pageToken }: ListServiceAccountsInput,
): Promise<{ serviceAccounts: ServiceAccount[]; nextPageToken: string }> {
  const { page_size: size, page_token: after } = parseFields({
    page_size: () => parsePageSize(pageSize),
    page_token: () => parsePageToken(pageToken, QUERY, parseServiceName),
  });
  const found = await store.serviceAccounts.list(after, size + 1);
  const { page: serviceAccounts, nextAfter: last } = cutPage(found, size);
  return { serviceAccounts, nextPageToken: last ? formatPageToken(last.name, QUERY) : '' };
}
