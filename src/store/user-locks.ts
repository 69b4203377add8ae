// What transactions begin with that change an account: nobody else changes it meanwhile, and it is still what was judged.
import type { Db } from './postgres/database.ts';

/**
 * For use inside a transaction: keeps changes of the password and sign-ins with the old one out until the commit. False when
 * the password is another one by now, or the account is disabled.
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

/** Who asks for a change of their own account, and which password the account had when they showed that they are there. */
export type Present = { userId: string; sessionId: string; passwordEpoch: number };

/** As lockUser; false also when the session of who asks has ended. */
export async function lockPresent(trx: Db, { userId, sessionId, passwordEpoch }: Present): Promise<boolean> {
  if (!(await lockUser(trx, userId, passwordEpoch))) return false;
  const session = await trx
    .selectFrom('sessions')
    .select('id')
    .where('id', '=', sessionId)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  return session !== undefined;
}

/** For use inside a transaction that has locked the user. Ends every session but the one to keep. */
export async function replacePassword(
  trx: Db,
  change: { userId: string; passwordHash: string; keepSessionId: string | null },
  now: Date,
): Promise<void> {
  await trx
    .updateTable('users')
    .set((eb) => ({ password_hash: change.passwordHash, password_epoch: eb('password_epoch', '+', 1) }))
    .where('id', '=', change.userId)
    .execute();
  await trx
    .updateTable('sessions')
    .set({ ended_at: now })
    .where('user_id', '=', change.userId)
    .where('ended_at', 'is', null)
    .$if(change.keepSessionId !== null, (query) => query.where('id', '!=', change.keepSessionId as string))
    .execute();
}
