import { sql } from 'kysely';
import { type Actor, actorName } from '../domain/actor.ts';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { USER_ROLE } from '../domain/role.ts';
import type { User } from '../domain/user.ts';
import { isUndoable } from './email-changes.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { type Judged, judge } from './roles.ts';
import { type Grant, type Renewal, renewSession } from './sessions.ts';
import { type Holder, holderColumns, toHolder, toUser, userColumns } from './user-columns.ts';
import { lockPresent, type Present, replacePassword } from './user-locks.ts';

/** What signing in needs to know of an account. */
export type Credentials = Holder & {
  passwordHash: string | null;
  /** Counts the account's passwords. */
  passwordEpoch: number;
};

/** Of hashes in use: more make no difference to how long failures take. */
const MAX_HASH_KINDS = 100;

export type NewUser = { id: string; email: Email; fullName: string; passwordHash: string | null };

/** How an administrator opens an account. */
type Opening = {
  actor: Actor;
  /** Besides `user`. */
  roles: string[];
  reason: string;
  /** Throws when it must not be. */
  decide: (judged: Judged) => void;
};

/** Thrown inside the transaction, so that it is rolled back. */
class SessionHasEnded extends Error {}

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

    /** Of those that there are, by id. */
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
     * Null when the email is taken: of parallel calls, one makes the account. Both take as long: the same statements.
     * @param effects of either outcome
     * @param opening null for those who register themselves
     */
    async create(
      user: NewUser,
      now: Date,
      effects: { made: Effect[]; taken: Effect[] },
      opening: Opening | null = null,
    ): Promise<User | null> {
      return db.transaction().execute(async (trx) => {
        if (opening)
          opening.decide(await judge(trx, opening.actor, opening.roles.length > 0 ? 'exclusive' : 'shared', now));
        const { email, fullName, passwordHash } = user;
        const { rows: inserted } = await sql`
          INSERT INTO users (id, email, full_name, password_hash, created_at)
          SELECT ${user.id}::uuid, ${email}, ${fullName}, ${passwordHash}, ${now}::timestamptz
          WHERE NOT email_reserved(${email}, NULL, ${now})
          ON CONFLICT ON CONSTRAINT users_email_key DO NOTHING RETURNING id
        `.execute(trx);
        const isMade = inserted.length > 0;
        await trx
          .insertInto('user_roles')
          .columns(['user_id', 'role', 'granted_at'])
          .expression((eb) =>
            eb
              .selectFrom('users')
              .select((made) => ['id', made.val(USER_ROLE).as('role'), made.val(now).as('granted_at')])
              .where('id', '=', user.id),
          )
          .execute();
        if (isMade && opening && opening.roles.length > 0) {
          const grant = {
            user_id: user.id,
            granted_at: now,
            granted_by: actorName(opening.actor),
            reason: opening.reason,
          };
          await trx
            .insertInto('user_roles')
            .values(opening.roles.map((role) => ({ ...grant, role })))
            .execute();
        }
        await writeEffects(trx, newId, now, isMade ? effects.made : effects.taken);
        const made = await trx
          .selectFrom('users')
          .select(userColumns(now))
          .where('id', '=', user.id)
          .executeTakeFirst();
        return made ? toUser(made) : null;
      });
    },

    /** Those whose address has no account yet. Returns the ids of those that it made. @param effect of each */
    async importAll(
      users: (NewUser & { emailVerified: boolean })[],
      actor: Actor,
      now: Date,
      effect: (user: NewUser) => Effect,
    ): Promise<Set<string>> {
      return db.transaction().execute(async (trx) => {
        await judge(trx, actor, 'shared', now);
        const rows = users.map(({ id, email, fullName, passwordHash, emailVerified }) => ({
          id,
          email,
          full_name: fullName,
          password_hash: passwordHash,
          email_verified_at: emailVerified ? now : null,
        }));
        const { rows: made } = await sql<{ id: string }>`
          INSERT INTO users (id, email, full_name, password_hash, email_verified_at, created_at)
          SELECT id, email, full_name, password_hash, email_verified_at, ${now}
          FROM jsonb_to_recordset(${JSON.stringify(rows)})
            AS row (id uuid, email text, full_name text, password_hash text, email_verified_at timestamptz)
          WHERE NOT email_reserved(email, NULL, ${now})
          ON CONFLICT ON CONSTRAINT users_email_key DO NOTHING RETURNING id
        `.execute(trx);
        const ids = new Set(made.map(({ id }) => id));
        const roles = made.map(({ id }) => ({ user_id: id, role: USER_ROLE, granted_at: now }));
        if (roles.length > 0) await trx.insertInto('user_roles').values(roles).execute();
        await writeEffects(trx, newId, now, users.filter(({ id }) => ids.has(id)).map(effect));
        return ids;
      });
    },

    /** Null when there is no such account any more. */
    async rename(id: string, fullName: string, now: Date, effects: Effect[]): Promise<User | null> {
      return db.transaction().execute(async (trx) => {
        const renamed = await trx
          .updateTable('users')
          .set({ full_name: fullName })
          .where('id', '=', id)
          .executeTakeFirst();
        if (renamed.numUpdatedRows !== 1n) return null;
        await writeEffects(trx, newId, now, effects);
        const row = await trx
          .selectFrom('users')
          .select(userColumns(now))
          .where('id', '=', id)
          .executeTakeFirstOrThrow();
        return toUser(row);
      });
    },

    /**
     * With its sessions and all else that belongs to it; audit events know it by its id alone. `gone`: the caller's session has ended.
     * `undoable`: the owner of a former address can still undo its change.
     */
    async remove(present: Present, now: Date, effects: Effect[]): Promise<'done' | 'gone' | 'undoable'> {
      return db.transaction().execute(async (trx) => {
        if (!(await lockPresent(trx, present))) return 'gone';
        if (await isUndoable(trx, present.userId, now)) return 'undoable';
        await sql`SELECT delete_user(${present.userId})`.execute(trx);
        await writeEffects(trx, newId, now, effects);
        return 'done';
      });
    },

    /** Takes the places of a user who is gone out of some of their audit events. Null when there is nobody to forget. */
    async eraseTraces(atMost: number): Promise<number | null> {
      const { rows } = await sql<{ erased: number | null }>`SELECT erase_traces(${atMost}) AS erased`.execute(db);
      return rows[0]?.erased ?? null;
    },

    /** A stored hash of each kind in use: a few index probes, however many users there are. */
    async samplesOfHashKinds(): Promise<string[]> {
      const { rows } = await sql<{ sample: string }>`
        WITH RECURSIVE kinds AS (
          (SELECT password_hash_kind(password_hash) AS kind FROM users WHERE password_hash IS NOT NULL
           ORDER BY password_hash_kind(password_hash) LIMIT 1)
          UNION ALL
          SELECT (SELECT password_hash_kind(password_hash) FROM users
                  WHERE password_hash IS NOT NULL AND password_hash_kind(password_hash) > kinds.kind
                  ORDER BY password_hash_kind(password_hash) LIMIT 1)
          FROM kinds WHERE kinds.kind IS NOT NULL
        )
        SELECT sample FROM (SELECT kind FROM kinds LIMIT ${MAX_HASH_KINDS}) AS found CROSS JOIN LATERAL (
          SELECT password_hash AS sample FROM users
          WHERE password_hash IS NOT NULL AND password_hash_kind(password_hash) = found.kind LIMIT 1
        ) AS one
      `.execute(db);
      return rows.map(({ sample }) => sample);
    },

    /** Keeps the same password under a newer hash, unless the password has changed meanwhile. */
    async upgradeHash(id: string, oldHash: string, newHash: string): Promise<void> {
      await db
        .updateTable('users')
        .set({ password_hash: newHash })
        .where('id', '=', id)
        .where('password_hash', '=', oldHash)
        .execute();
    },

    /**
     * Sets another password and ends the account's sessions, but for the one that asks, which gets another refresh token. Null
     * when the password has changed meanwhile, or that session has ended.
     */
    async changePassword(
      present: Present,
      { passwordHash, ...renewal }: Renewal & { passwordHash: string },
      now: Date,
      effects: Effect[],
    ): Promise<Grant | null> {
      const changing = db.transaction().execute(async (trx) => {
        if (!(await lockPresent(trx, present))) return null;
        // First: the grant has the claims of after it.
        await replacePassword(trx, { userId: present.userId, passwordHash, keepSessionId: present.sessionId }, now);
        const grant = await renewSession(trx, renewal, now);
        if (!grant) throw new SessionHasEnded();
        await writeEffects(trx, newId, now, effects);
        return grant;
      });
      return changing.catch((error: unknown) => {
        if (error instanceof SessionHasEnded) return null;
        throw error;
      });
    },
  };
}
