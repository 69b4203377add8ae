import type { Deps } from '../deps.ts';
import { cutPage, parsePageSize } from '../domain/page.ts';
import { formatPageToken, parsePageToken } from '../domain/page-token.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseRole } from '../domain/role.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { FoundUser } from '../store/user-records.ts';

export type SearchUsersInput = {
  emailPrefix: string;
  role: string;
  disabled: boolean | null;
  pageSize: number;
  pageToken: string;
};

const MAX_PREFIX = 254;

export async function searchUsers(
  { store }: Pick<Deps, 'store'>,
  input: SearchUsersInput,
): Promise<{ users: FoundUser[]; nextPageToken: string }> {
  const { disabled } = input;
  const query = JSON.stringify(['SearchUsers', input.emailPrefix, input.role, disabled]);
  const fields = parseFields({
    email_prefix: () => parsePrefix(input.emailPrefix),
    role: () => (input.role === '' ? '' : parseRole(input.role)),
    page_size: () => parsePageSize(input.pageSize),
    page_token: () => parsePageToken(input.pageToken, query, parseUuid),
  });
  const { email_prefix: emailPrefix, role, page_size: size, page_token: after } = fields;
  const found = await store.userRecords.search({ emailPrefix, role, disabled }, after, size + 1);
  const { page: users, nextAfter: last } = cutPage(found, size);
  const nextPageToken = last ? formatPageToken(last.user.id, query) : '';
  return { users, nextPageToken };
}

function parsePrefix(text: string): string {
  if (text.length > MAX_PREFIX || text.includes('\0'))
    throw new InvalidValue(`must be at most ${MAX_PREFIX} characters`);
  return text.normalize('NFC').toLowerCase();
}
