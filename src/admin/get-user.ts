import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import { parseEmail } from '../domain/email.ts';
import { parseExternalId } from '../domain/external-id.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { UserRecord } from '../store/user-records.ts';

export type GetUserInput = { userId: string } | { email: string } | { externalId: string } | null;

/** @throws AuthError USER_NOT_FOUND */
export async function getUser({ store }: Pick<Deps, 'store'>, input: GetUserInput): Promise<UserRecord> {
  const found = await find(store, input);
  if (!found) throw new AuthError('USER_NOT_FOUND');
  return found;
}

function find({ userRecords }: Deps['store'], input: GetUserInput): Promise<UserRecord | null> {
  if (input && 'email' in input) {
    return userRecords.byEmail(parseFields({ email: () => parseEmail(input.email) }).email);
  }
  if (input && 'externalId' in input) {
    return userRecords.byExternalId(parseFields({ external_id: () => parseExternalId(input.externalId) }).external_id);
  }
  const { user_id: id } = parseFields({ user_id: () => parseUuid(input?.userId ?? missing()) });
  return userRecords.byId(id);
}

function missing(): never {
  throw new InvalidValue('or email or external_id is required');
}
