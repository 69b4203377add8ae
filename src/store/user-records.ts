import { sql } from 'kysely';
import { actorName } from '../domain/actor.ts';
import type { Email } from '../domain/email.ts';
import type { SessionEnd } from '../domain/session-end.ts';
import type { User } from '../domain/user.ts';
import { type AdminChange, lockAuthority } from './authority.ts';
import { endSessions } from './end-sessions.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { grantsOf, type RoleGrant } from './role-grants.ts';
import { toUser, userColumns } from './user-columns.ts';
import { searchUserIds, type UserFilter } from './user-search.ts';

export type UserState = { disabledAt: Date | null; hasPassword: boolean; passwordEpoch: number; sessions: number };

export type FoundUser = {
  user: User;
  /** The id in the system that the account was imported from. */
  externalId: string | null;
} & Pick<UserState, 'disabledAt' | 'hasPassword'>;
export type UserRecord = FoundUser & { sessions: number; grants: RoleGrant[]; providers: string[] };

/** A page can be short. `next` is null after the last page. */
export type UserPage = { users: FoundUser[]; next: string | null };

export type UserChange = 'disable' | 'enable' | 'delete' | 'require_new_password' | 'end_sessions';

export type UserRecords = ReturnType<typeof createUserRecords>;

export function createUserRecords(db: Db, newId: () => string, clock: () => Date) {
  const selectUsers = (at: Date) =>
    db.selectFrom('users').select(userColumns(at)).select(['password_hash', 'external_id']);

  async function recordBy(column: 'id' | 'email' | 'external_id', value: string): Promise<UserRecord | null> {
    const row = await selectUsers(clock())
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
    byId: (id: string) => recordBy('id', id),
    byEmail: (email: Email) => recordBy('email', email),
    byExternalId: (externalId: string) => recordBy('external_id', externalId),

    /** @param page `after` is `next` of the page before, or empty */
    async search(filter: UserFilter, page: { after: string; size: number }): Promise<UserPage> {
      const at = clock();
      const { ids, next } = await searchUserIds(db, filter, { ...page, at });
      if (ids.length === 0) return { users: [], next };
      const rows = await selectUsers(at).where('users.id', 'in', ids).execute();
      const byId = new Map(rows.map((row) => [row.id, toFound(row)]));
      return { users: ids.flatMap((id) => byId.get(id) ?? []), next };
    },

    /**
     * Idempotent. Null when the user does not exist.
     * @param options `effects` runs only when the state changes; `after` is null for a deleted user
     */
    async change(
      id: string,
      change: UserChange,
      {
        actor,
        at,
        decide,
        effects,
      }: AdminChange<[user: User, before: UserState, after: UserState | null], [roles: string[]]>,
    ): Promise<{ before: UserState; after: UserState | null } | null> {
      return db.transaction().execute(async (trx) => {
        const authority = await lockAuthority(trx, actor, { lock: 'exclusive', at });
        const row = await trx
          .selectFrom('users')
          .select(userColumns(at))
          .where('id', '=', id)
          .forUpdate('users')
          .executeTakeFirst();
        const before = row && (await stateOf(trx, id, at));
        if (!row || !before) return null;
        decide(authority, row.roles);
        await CHANGES[change](trx, id, { at, by: actorName(actor) });
        const after = await stateOf(trx, id, at);
        if (JSON.stringify(after) !== JSON.stringify(before))
          await writeEffects(trx, newId, { at, effects: effects(toUser(row), before, after) });
        return { before, after };
      });
    },

    /** For actions that change no row. Null when the user does not exist. */
    async recordAction(
      id: string,
      { actor, at, decide, effects }: AdminChange<[user: User], [roles: string[]]>,
    ): Promise<User | null> {
      return db.transaction().execute(async (trx) => {
        const authority = await lockAuthority(trx, actor, { lock: 'shared', at });
        const row = await trx.selectFrom('users').select(userColumns(at)).where('id', '=', id).executeTakeFirst();
        if (!row) return null;
        const user = toUser(row);
        decide(authority, user.roles);
        await writeEffects(trx, newId, { at, effects: effects(user) });
        return user;
      });
    },
  };
}

type Change = { at: Date; by: string };

const CHANGES: Record<UserChange, (trx: Db, id: string, change: Change) => Promise<unknown>> = {
  async disable(trx, id, { at, by }) {
    await trx
      .updateTable('users')
      .set({ disabled_at: at })
      .where('id', '=', id)
      .where('disabled_at', 'is', null)
      .execute();
    // The sessions stay ended when the user is enabled again.
    await endAllSessions(trx, id, { at, by, reason: 'user_disabled' });
  },
  enable: (trx, id) => trx.updateTable('users').set({ disabled_at: null }).where('id', '=', id).execute(),
  delete: (trx, id) => sql`SELECT delete_user(${id})`.execute(trx),
  async require_new_password(trx, id, change) {
    await trx
      .updateTable('users')
      .set((eb) => ({ password_hash: null, password_epoch: eb('password_epoch', '+', 1) }))
      .where('id', '=', id)
      .execute();
    await endAllSessions(trx, id, { ...change, reason: 'new_password_required' });
  },
  end_sessions: (trx, id, change) => endAllSessions(trx, id, { ...change, reason: 'ended_by_administrator' }),
};

function endAllSessions(trx: Db, userId: string, end: SessionEnd & { at: Date }): Promise<string[]> {
  return endSessions(trx, end, (eb) => eb('user_id', '=', userId));
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

type FoundColumns = Parameters<typeof toUser>[0] & { password_hash: string | null; external_id: string | null };

function toFound(row: FoundColumns): FoundUser {
  const { disabled_at: disabledAt, external_id: externalId, password_hash: passwordHash } = row;
  return { user: toUser(row), externalId, disabledAt, hasPassword: passwordHash !== null };
}
