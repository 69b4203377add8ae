import type { Deps } from '../deps.ts';
import { parsePageSize } from '../domain/page.ts';
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

const MAX_EMAIL = 254;

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
    page_token: () => parsePageToken(input.pageToken, query, input.emailPrefix === '' ? parseUuid : parseText),
  });
  const { email_prefix: emailPrefix, role, page_size: size, page_token: after } = fields;
  const { users, next } = await store.userRecords.search({ emailPrefix, role, disabled }, { after, size });
  const nextPageToken = next === null ? '' : formatPageToken(next, query);
  return { users, nextPageToken };
}

function parsePrefix(text: string): string {
  return parseText(text).normalize('NFC').toLowerCase();
}

function parseText(text: string): string {
  if (text.length > MAX_EMAIL || text.includes('\0')) throw new InvalidValue(`must be at most ${MAX_EMAIL} characters`);
  return text;
}
