import { sql } from 'kysely';
import { type Actor, actorName } from '../domain/actor.ts';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { USER_ROLE } from '../domain/role.ts';
import type { User } from '../domain/user.ts';
import { type Authority, lockAuthority } from './authority.ts';
import { isUndoable } from './email-changes.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { type Grant, type Renewal, renewSession } from './session-rows.ts';
import { undoable } from './undoable.ts';
import { type Holder, holderColumns, toHolder, toUser, userColumns } from './user-columns.ts';
import { lockReauthenticatedOwner, type ReauthenticatedOwner, replacePassword } from './user-locks.ts';

export type Credentials = Holder & {
  passwordHash: string | null;
  /** The number of the account's password, from 0. */
  passwordEpoch: number;
};

/** More kinds make no difference to the duration of failed sign-ins. */
const MAX_HASH_KINDS = 100;

export type NewUser = { id: string; email: Email; fullName: string; passwordHash: string | null };

type AdminCreation = {
  actor: Actor;
  /** In addition to `user`. */
  roles: string[];
  reason: string;
  /** Throws when the change is not allowed. */
  decide: (authority: Authority) => void;
};

export type Users = ReturnType<typeof createUsers>;

export function createUsers(db: Db, newId: () => string, clock: () => Date) {
  async function credentials(column: 'email' | 'id', value: string, signal?: AbortSignal): Promise<Credentials | null> {
    signal?.throwIfAborted();
    const row = await db
      .selectFrom('users')
      .select(holderColumns(clock()))
      .select(['password_hash', 'password_epoch'])
      .where(sql.ref<string>(`users.${column}`), '=', value)
      .executeTakeFirst();
    if (!row) return null;
    return { ...toHolder(row), passwordHash: row.password_hash, passwordEpoch: row.password_epoch };
  }

  return {
    credentialsByEmail: (email: Email, signal?: AbortSignal) => credentials('email', email, signal),
    credentialsById: (id: string, signal?: AbortSignal) => credentials('id', id, signal),

    async byEmail(email: Email): Promise<User | null> {
      const row = await db
        .selectFrom('users')
        .select(userColumns(clock()))
        .where('email', '=', email)
        .executeTakeFirst();
      return row ? toUser(row) : null;
    },

    /** By user id. Unknown ids are absent. */
    async rolesOf(ids: string[], signal?: AbortSignal): Promise<Map<string, { roles: string[]; disabled: boolean }>> {
      signal?.throwIfAborted();
      if (ids.length === 0) return new Map();
      const rows = await db
        .selectFrom('users')
        .select(['id', 'disabled_at'])
        .select(sql<string[]>`roles_of_user(id, ${clock()})`.as('roles'))
        .where('id', 'in', ids)
        .execute();
      return new Map(rows.map((row) => [row.id, { roles: row.roles, disabled: row.disabled_at !== null }]));
    },

    async byId(id: string, signal?: AbortSignal): Promise<User | null> {
      signal?.throwIfAborted();
      const row = await db.selectFrom('users').select(userColumns(clock())).where('id', '=', id).executeTakeFirst();
      return row ? toUser(row) : null;
    },

    /**
     * Null when the email is taken. Both outcomes run the same statements, so that they take the same time.
     * @param options `by` is null when users register themselves
     */
    async create(
      user: NewUser,
      {
        at,
        effects,
        by = null,
      }: { at: Date; effects: { created: Effect[]; taken: Effect[] }; by?: AdminCreation | null },
    ): Promise<User | null> {
      return db.transaction().execute(async (trx) => {
        if (by)
          by.decide(await lockAuthority(trx, by.actor, { lock: by.roles.length > 0 ? 'exclusive' : 'shared', at }));
        const { email, fullName, passwordHash } = user;
        const { rows: inserted } = await sql`
          INSERT INTO users (id, email, full_name, password_hash, created_at)
          SELECT ${user.id}::uuid, ${email}, ${fullName}, ${passwordHash}, ${at}::timestamptz
          WHERE NOT email_reserved(${email}, NULL, ${at})
          ON CONFLICT ON CONSTRAINT users_email_key DO NOTHING RETURNING id
        `.execute(trx);
        const isCreated = inserted.length > 0;
        await trx
          .insertInto('user_roles')
          .columns(['user_id', 'role', 'granted_at'])
          .expression((eb) =>
            eb
              .selectFrom('users')
              .select((row) => ['id', row.val(USER_ROLE).as('role'), row.val(at).as('granted_at')])
              .where('id', '=', user.id),
          )
          .execute();
        if (isCreated && by && by.roles.length > 0) {
          const grant = {
            user_id: user.id,
            granted_at: at,
            granted_by: actorName(by.actor),
            reason: by.reason,
          };
          await trx
            .insertInto('user_roles')
            .values(by.roles.map((role) => ({ ...grant, role })))
            .execute();
        }
        await writeEffects(trx, newId, { at, effects: isCreated ? effects.created : effects.taken });
        const created = await trx
          .selectFrom('users')
          .select(userColumns(at))
          .where('id', '=', user.id)
          .executeTakeFirst();
        return created ? toUser(created) : null;
      });
    },

    async rename(id: string, fullName: string, at: Date, effects: Effect[]): Promise<User | null> {
      return db.transaction().execute(async (trx) => {
        const renamed = await trx
          .updateTable('users')
          .set({ full_name: fullName })
          .where('id', '=', id)
          .executeTakeFirst();
        if (renamed.numUpdatedRows !== 1n) return null;
        await writeEffects(trx, newId, { at, effects });
        const row = await trx
          .selectFrom('users')
          .select(userColumns(at))
          .where('id', '=', id)
          .executeTakeFirstOrThrow();
        return toUser(row);
      });
    },

    /**
     * Audit events keep only the id of the account. `gone`: the owner's session has ended. `undoable`: the owner of a
     * former address can still undo its change.
     */
    async remove(owner: ReauthenticatedOwner, at: Date, effects: Effect[]): Promise<'done' | 'gone' | 'undoable'> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockReauthenticatedOwner(trx, owner))) return 'gone';
        if (await isUndoable(trx, owner.userId, at)) return 'undoable';
        await sql`SELECT delete_user(${owner.userId})`.execute(trx);
        await writeEffects(trx, newId, { at, effects });
        return 'done';
      });
    },

    /** Erases addresses and user agents of one deleted user from some audit events. Null when none is left to erase. */
    async eraseTraces(atMost: number): Promise<number | null> {
      const { rows } = await sql<{ erased: number | null }>`SELECT erase_traces(${atMost}) AS erased`.execute(db);
      return rows[0]?.erased ?? null;
    },

    /** One stored hash of each kind in use. A few index probes, however many users exist. */
    async samplesOfHashKinds(): Promise<string[]> {
      const { rows } = await sql<{ sample: string }>`
        WITH RECURSIVE samples AS (
          (SELECT password_hash AS sample FROM users WHERE password_hash IS NOT NULL
           ORDER BY password_hash_kind(password_hash) LIMIT 1)
          UNION ALL
          SELECT next.sample FROM samples CROSS JOIN LATERAL (
            SELECT password_hash AS sample FROM users
            WHERE password_hash IS NOT NULL AND password_hash_kind(password_hash) > password_hash_kind(samples.sample)
            ORDER BY password_hash_kind(password_hash) LIMIT 1
          ) AS next
        )
        SELECT sample FROM samples LIMIT ${MAX_HASH_KINDS}
      `.execute(db);
      return rows.map(({ sample }) => sample);
    },

    /** Does nothing when the password has changed. */
    async upgradeHash(id: string, oldHash: string, newHash: string): Promise<void> {
      await db
        .updateTable('users')
        .set({ password_hash: newHash })
        .where('id', '=', id)
        .where('password_hash', '=', oldHash)
        .execute();
    },

    /**
     * Ends every session but the owner's, whose refresh token is replaced. Null when the password
     * has changed or that session has ended.
     */
    async changePassword(
      owner: ReauthenticatedOwner,
      { passwordHash, ...renewal }: Renewal & { passwordHash: string },
      { at, effects }: { at: Date; effects: Effect[] },
    ): Promise<Grant | null> {
      const changed = await undoable<Grant, 'session ended'>(db, async (trx, undo) => {
        if (!(await lockReauthenticatedOwner(trx, owner))) undo('session ended');
        // The grant must have the claims of after the change.
        await replacePassword(
          trx,
          { userId: owner.userId, passwordHash, keepSessionId: owner.sessionId },
          { at, reason: 'password_changed' },
        );
        const grant = (await renewSession(trx, renewal, at)) ?? undo('session ended');
        await writeEffects(trx, newId, { at, effects });
        return grant;
      });
      return changed === 'session ended' ? null : changed;
    },
  };
}
