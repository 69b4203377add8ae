import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import { cutPage, parsePageSize } from '../domain/page.ts';
import { formatPageToken, parsePageToken } from '../domain/page-token.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { SessionRecord } from '../store/user-history.ts';

export type ListUserSessionsInput = { userId: string; pageSize: number; pageToken: string };

/** The newest first. @throws AuthError USER_NOT_FOUND */
export async function listUserSessions(
  { store }: Pick<Deps, 'store'>,
  input: ListUserSessionsInput,
): Promise<{ sessions: SessionRecord[]; nextPageToken: string }> {
  const query = JSON.stringify(['ListUserSessions', input.userId]);
  const {
    user_id: userId,
    page_size: size,
    page_token: before,
  } = parseFields({
    user_id: () => parseUuid(input.userId),
    page_size: () => parsePageSize(input.pageSize),
    page_token: () => parsePageToken(input.pageToken, query, parseUuid),
  });
  if (!(await store.users.byId(userId))) throw new AuthError('USER_NOT_FOUND');
  const found = await store.userHistory.sessions(userId, before, size + 1);
  const { page: sessions, nextAfter: last } = cutPage(found, size);
  return { sessions, nextPageToken: last ? formatPageToken(last.id, query) : '' };
}
