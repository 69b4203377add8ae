// Users as administrators see and change them.
import { sql } from 'kysely';
import type { Actor } from '../domain/actor.ts';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import type { User } from '../domain/user.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { grantsOf, type Judged, judge, type RoleGrant } from './roles.ts';
import { toUser, userColumns } from './user-columns.ts';

/** What administrators change of a user, and audit events show. */
export type UserState = { disabledAt: Date | null; hasPassword: boolean; passwordEpoch: number; sessions: number };

export type FoundUser = { user: User } & Pick<UserState, 'disabledAt' | 'hasPassword'>;
export type UserRecord = FoundUser & { sessions: number; grants: RoleGrant[]; providers: string[] };

/** Each is null, or empty, for any. */
export type UserFilter = { emailPrefix: string; role: string; disabled: boolean | null };

export type UserChange = 'disable' | 'enable' | 'delete' | 'require_new_password' | 'end_sessions';

export type UserRecords = ReturnType<typeof createUserRecords>;

export function createUserRecords(db: Db, newId: () => string, clock: () => Date) {
  const found = (at: Date) => db.selectFrom('users').select(userColumns(at)).select('password_hash');

  async function whole(column: 'id' | 'email', value: string): Promise<UserRecord | null> {
    const row = await found(clock())
      .where(sql.ref<string>(`users.${column}`), '=', value)
      .executeTakeFirst();
    if (!row) return null;
    const providers = await db
      .selectFrom('identities')
      .select('provider')
      .distinct()
      .where('user_id', '=', row.id)
      .orderBy('provider')
      .execute();
    return {
      ...toFound(row),
      sessions: (await stateOf(db, row.id, clock()))?.sessions ?? 0,
      grants: await grantsOf(db, { userId: row.id }),
      providers: providers.map(({ provider }) => provider),
    };
  }

  return {
    byId: (id: string) => whole('id', id),
    byEmail: (email: Email) => whole('email', email),

    /** The oldest first. @param after the id of the last one of the page before, or empty */
    async search(filter: UserFilter, after: string, atMost: number): Promise<FoundUser[]> {
      const at = clock();
      const rows = await found(at)
        .$if(after !== '', (query) => query.where('users.id', '>', after))
        .$if(filter.emailPrefix !== '', (query) =>
          query.where(sql<boolean>`starts_with(users.email, ${filter.emailPrefix})`),
        )
        .$if(filter.role !== '', (query) =>
          query.where(sql<boolean>`EXISTS (
            SELECT FROM user_roles JOIN role_closure USING (role)
            WHERE user_id = users.id AND implied = ${filter.role} AND (expires_at IS NULL OR expires_at > ${at}))`),
        )
        .$if(filter.disabled !== null, (query) => query.where('disabled_at', filter.disabled ? 'is not' : 'is', null))
        .orderBy('users.id')
        .limit(atMost)
        .execute();
      return rows.map(toFound);
    },

    /**
     * Does it, unless it is so already; null when there is no such user.
     * @param decide throws when it must not be
     * @param effects of a change, told how the user was before and is after it (null: gone)
     */
    async change(
      id: string,
      change: UserChange,
      actor: Actor,
      now: Date,
      decide: (judged: Judged, theirRoles: string[]) => void,
      effects: (user: User, before: UserState, after: UserState | null) => Effect[],
    ): Promise<{ before: UserState; after: UserState | null } | null> {
      return db.transaction().execute(async (trx) => {
        // Two who put one another out do it one after the other: the second is out.
        const judged = await judge(trx, actor, 'exclusive', now);
        const row = await trx
          .selectFrom('users')
          .select(userColumns(now))
          .where('id', '=', id)
          .forUpdate('users')
          .executeTakeFirst();
        const before = row && (await stateOf(trx, id, now));
        if (!row || !before) return null;
        decide(judged, row.roles);
        await CHANGES[change](trx, id, now);
        const after = await stateOf(trx, id, now);
        if (JSON.stringify(after) !== JSON.stringify(before))
          await writeEffects(trx, newId, now, effects(toUser(row), before, after));
        return { before, after };
      });
    },

    /**
     * For what is done to a user and changes no row of theirs. Null when there is no such user.
     * @param decide throws when it must not be
     */
    async note(
      id: string,
      actor: Actor,
      now: Date,
      decide: (judged: Judged, theirRoles: string[]) => void,
      effects: (user: User) => Effect[],
    ): Promise<User | null> {
      return db.transaction().execute(async (trx) => {
        const judged = await judge(trx, actor, 'shared', now);
        const row = await trx.selectFrom('users').select(userColumns(now)).where('id', '=', id).executeTakeFirst();
        if (!row) return null;
        const user = toUser(row);
        decide(judged, user.roles);
        await writeEffects(trx, newId, now, effects(user));
        return user;
      });
    },
  };
}

/** With the user's row locked. */
const CHANGES: Record<UserChange, (trx: Db, id: string, now: Date) => Promise<unknown>> = {
  async disable(trx, id, now) {
    await trx
      .updateTable('users')
      .set({ disabled_at: now })
      .where('id', '=', id)
      .where('disabled_at', 'is', null)
      .execute();
    // They do not come back when the user does.
    await endSessions(trx, id, now);
  },
  enable: (trx, id) => trx.updateTable('users').set({ disabled_at: null }).where('id', '=', id).execute(),
  delete: (trx, id) => sql`SELECT delete_user(${id})`.execute(trx),
  async require_new_password(trx, id, now) {
    await trx
      .updateTable('users')
      .set((eb) => ({ password_hash: null, password_epoch: eb('password_epoch', '+', 1) }))
      .where('id', '=', id)
      .execute();
    await endSessions(trx, id, now);
  },
  end_sessions: endSessions,
};

async function endSessions(trx: Db, userId: string, now: Date): Promise<void> {
  await trx
    .updateTable('sessions')
    .set({ ended_at: now })
    .where('user_id', '=', userId)
    .where('ended_at', 'is', null)
    .execute();
}

async function stateOf(db: Db, id: string, now: Date): Promise<UserState | null> {
  const row = await db
    .selectFrom('users')
    .select(['disabled_at', 'password_hash', 'password_epoch'])
    .select((eb) =>
      eb
        .selectFrom('sessions')
        .select((count) => count.fn.countAll<string>().as('n'))
        .where('user_id', '=', id)
        .where('ended_at', 'is', null)
        .where('expires_at', '>', now)
        .as('sessions'),
    )
    .where('id', '=', id)
    .executeTakeFirst();
  if (!row) return null;
  return {
    disabledAt: row.disabled_at,
    hasPassword: row.password_hash !== null,
    passwordEpoch: row.password_epoch,
    sessions: Number(row.sessions),
  };
}

function toFound(row: Parameters<typeof toUser>[0] & { password_hash: string | null }): FoundUser {
  return { user: toUser(row), disabledAt: row.disabled_at, hasPassword: row.password_hash !== null };
}
