import type { GetUserInput } from '../admin/get-user.ts';
import { isUuid } from '../domain/uuid.ts';

/** A UUID, an email, or the id of the system that the account was imported from. */
export function identify(user: string): NonNullable<GetUserInput> {
  if (isUuid(user)) return { userId: user };
  return user.includes('@') ? { email: user } : { externalId: user };
}
