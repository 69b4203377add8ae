import { type ExpressionBuilder, type RawBuilder, sql } from 'kysely';
import type { Email } from '../domain/email.ts';
import type { User } from '../domain/user.ts';
import type { Schema } from './postgres/schema.ts';

export type Holder = {
  user: User;
  /** Increases with each change of the account's claims. */
  claimsEpoch: number;
  /** Increases with each change of the roles that a role implies. */
  rolesEpoch: number;
  /** The time when the first of the roles expires. */
  rolesUntil: Date | null;
};

const SHORTEST_TOKEN_MS = 1_000;

type UserColumns = {
  id: string;
  email: Email;
  full_name: string;
  email_verified_at: Date | null;
  disabled_at: Date | null;
  created_at: Date;
  roles: string[];
};

type HolderColumns = UserColumns & { claims_epoch: number; roles_epoch: number; roles_until: Date | null };

export function userColumns(at: Date) {
  return (builder: ExpressionBuilder<Schema, 'users'>) => [...accountColumns(builder), rolesOfUser(at).as('roles')];
}

function accountColumns(_: ExpressionBuilder<Schema, 'users'>) {
  return [
    'users.id' as const,
    'users.email' as const,
    'users.full_name' as const,
    'users.email_verified_at' as const,
    'users.disabled_at' as const,
    'users.created_at' as const,
  ];
}

function rolesOfUser(at: Date): RawBuilder<string[]> {
  return sql<string[]>`roles_of_user(users.id, ${at})`;
}

/** Without the roles that need a stronger session. */
export function rolesOfSession(at: Date): RawBuilder<string[]> {
  return sql<string[]>`roles_of_session(users.id, ${at}, sessions.acr)`;
}

/**
 * A role that expires within a second is left out, because every token is valid for longer.
 * @param roles by default every role of the user
 */
export function holderColumns(now: Date, roles: (at: Date) => RawBuilder<string[]> = rolesOfUser) {
  const at = rolesCountAt(now);
  return (builder: ExpressionBuilder<Schema, 'users'>) => [
    ...accountColumns(builder),
    roles(at).as('roles'),
    'users.claims_epoch' as const,
    sql<number>`(SELECT epoch FROM roles_epoch)`.as('roles_epoch'),
    sql<Date | null>`(
      SELECT min(expires_at) FROM user_roles WHERE user_id = users.id AND expires_at > ${at}
    )`.as('roles_until'),
  ];
}

export function rolesCountAt(now: Date): Date {
  return new Date(now.getTime() + SHORTEST_TOKEN_MS);
}

export function toUser(row: UserColumns): User {
  return {
    id: row.id,
    email: row.email,
    fullName: row.full_name,
    emailVerified: row.email_verified_at !== null,
    roles: row.roles,
    disabled: row.disabled_at !== null,
    createdAt: row.created_at,
  };
}

export function toHolder(row: HolderColumns): Holder {
  const { claims_epoch: claimsEpoch, roles_epoch: rolesEpoch, roles_until: rolesUntil } = row;
  return { user: toUser(row), claimsEpoch, rolesEpoch, rolesUntil };
}
