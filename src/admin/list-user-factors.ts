import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Factor } from '../domain/factor.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';

/** The oldest first. @throws AuthError USER_NOT_FOUND */
export async function listUserFactors(
  { store }: Pick<Deps, 'store'>,
  input: { userId: string },
): Promise<{ factors: Factor[]; recoveryCodesLeft: number }> {
  const { user_id: userId } = parseFields({ user_id: () => parseUuid(input.userId) });
  if (!(await store.users.byId(userId))) throw new AuthError('USER_NOT_FOUND');
  const recoveryCodesLeft = await store.factors.recoveryCodesLeft(userId);
  return { factors: await store.factors.ofUser(userId), recoveryCodesLeft };
}
