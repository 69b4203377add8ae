// Until the commit the account stays as the caller has read it.
import { AuthError } from '../domain/auth-error.ts';
import { endSessions } from './end-sessions.ts';
import type { Db } from './postgres/database.ts';

/**
 * Until the commit no other transaction changes the password, and no sign-in with the old one succeeds. False when the
 * password has changed, or the account is disabled.
 */
export async function lockUser(trx: Db, id: string, passwordEpoch: number): Promise<boolean> {
  const locked = await trx
    .selectFrom('users')
    .select('id')
    .where('id', '=', id)
    .where('password_epoch', '=', passwordEpoch)
    .where('disabled_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
  return locked !== undefined;
}

/** `passwordEpoch` is the one at the time of the re-authentication. */
export type AccountOwner = { userId: string; sessionId: string; passwordEpoch: number };

/** As lockUser. False also when the owner's session has ended. */
export async function lockOwner(trx: Db, { userId, sessionId, passwordEpoch }: AccountOwner): Promise<boolean> {
  if (!(await lockUser(trx, userId, passwordEpoch))) return false;
  const session = await trx
    .selectFrom('sessions')
    .select('id')
    .where('id', '=', sessionId)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return session !== undefined;
}

/** `usedFactor`: whether the re-authentication used a factor, because the account had one. */
export type ReauthenticatedOwner = AccountOwner & { usedFactor: boolean };

/** As lockOwner. @throws AuthError REAUTHENTICATION_REQUIRED when the account has got its first factor since */
export async function lockReauthenticatedOwner(trx: Db, owner: ReauthenticatedOwner): Promise<boolean> {
  if (!(await lockOwner(trx, owner))) return false;
  if (owner.usedFactor) return true;
  const factor = await trx
    .selectFrom('factors')
    .select('id')
    .where('user_id', '=', owner.userId)
    .limit(1)
    .executeTakeFirst();
  if (factor) throw new AuthError('REAUTHENTICATION_REQUIRED');
  return true;
}

/** Requires that the user is locked. */
export async function replacePassword(
  trx: Db,
  { userId, passwordHash, keepSessionId }: { userId: string; passwordHash: string; keepSessionId: string | null },
  end: { at: Date; reason: 'password_changed' | 'password_reset' },
): Promise<void> {
  await trx
    .updateTable('users')
    .set((eb) => ({ password_hash: passwordHash, password_epoch: eb('password_epoch', '+', 1) }))
    .where('id', '=', userId)
    .execute();
  await endSessions(trx, end, (eb) =>
    eb.and([eb('user_id', '=', userId), ...(keepSessionId === null ? [] : [eb('id', '!=', keepSessionId)])]),
  );
}
