// All accounts with their secrets, for a move to another deployment.
import { sql } from 'kysely';
import type { Email } from '../domain/email.ts';
import { USER_ROLE } from '../domain/role.ts';
import { factorsOfUsers, type StoredFactor } from './factor-rows.ts';
import type { Db } from './postgres/database.ts';

export type ExportedUser = {
  id: string;
  externalId: string | null;
  email: Email;
  fullName: string;
  emailVerified: boolean;
  passwordHash: string | null;
  disabled: boolean;
  createdAt: Date;
  /** Granted for ever, without `user`. */
  roles: string[];
  /** The number of the other grants. */
  expiringGrants: number;
  identities: { provider: string; subject: string }[];
  factors: StoredFactor[];
};

export type UserExport = ReturnType<typeof createUserExport>;

export function createUserExport(db: Db) {
  return {
    /** By id. @param after the last id of the page before, or null */
    async page(after: string | null, size: number): Promise<ExportedUser[]> {
      const users = await db
        .selectFrom('users')
        .select(['id', 'external_id as externalId', 'email', 'full_name as fullName', 'password_hash as passwordHash'])
        .select(['created_at as createdAt'])
        .select([
          sql<boolean>`email_verified_at IS NOT NULL`.as('emailVerified'),
          sql<boolean>`disabled_at IS NOT NULL`.as('disabled'),
        ])
        .$if(after !== null, (query) => query.where('id', '>', after))
        .orderBy('id')
        .limit(size)
        .execute();
      if (users.length === 0) return [];
      const ids = users.map(({ id }) => id);
      const [grants, identities, factors] = [
        await grantsOf(db, ids),
        await identitiesOf(db, ids),
        await factorsOfUsers(db, ids),
      ];
      return users.map((user) => {
        const granted = grants.get(user.id) ?? [];
        const roles = granted.filter(({ expires_at }) => expires_at === null).map(({ role }) => role);
        return {
          ...user,
          ...{ roles, expiringGrants: granted.length - roles.length },
          identities: (identities.get(user.id) ?? []).map(({ provider, subject }) => ({ provider, subject })),
          factors: factors.get(user.id) ?? [],
        };
      });
    },
  };
}

async function grantsOf(db: Db, userIds: string[]) {
  const rows = await db
    .selectFrom('user_roles')
    .select(['user_id', 'role', 'expires_at'])
    .where('user_id', 'in', userIds)
    .where('role', '<>', USER_ROLE)
    .where((eb) => eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', sql<Date>`now()`)]))
    .orderBy('role')
    .execute();
  return Map.groupBy(rows, ({ user_id }) => user_id);
}

async function identitiesOf(db: Db, userIds: string[]) {
  const rows = await db
    .selectFrom('identities')
    .select(['user_id', 'provider', 'subject'])
    .where('user_id', 'in', userIds)
    .orderBy('id')
    .execute();
  return Map.groupBy(rows, ({ user_id }) => user_id);
}
