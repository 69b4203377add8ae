import { sql } from 'kysely';
import { type Actor, actorName } from '../domain/actor.ts';
import type { Effect } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import { USER_ROLE } from '../domain/role.ts';
import { type Authority, lockAuthority } from './authority.ts';
import type { NewFactor } from './factor-rows.ts';
import type { NewIdentity } from './identities.ts';
import { hasTakenCredential, insertFactors, takenCredentials } from './imported-factors.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import { isUniqueViolation } from './postgres/violation.ts';

export type UserToImport = {
  id: string;
  externalId: string | null;
  email: Email;
  fullName: string;
  passwordHash: string | null;
  emailVerified: boolean;
  disabled: boolean;
  createdAt: Date;
  /** In addition to `user`. */
  roles: string[];
  identities: NewIdentity[];
  factors: NewFactor[];
};

/** `denied` has what `decide` returned. The other results name what belongs to another account. */
export type ImportResult<Denial> =
  | { kind: 'imported' }
  | { kind: 'existing'; userId: string }
  | { kind: 'denied'; denial: Denial }
  | { kind: 'taken'; field: 'user_id' | 'external_id' | TakenPart };

type TakenPart = 'identities' | 'factors';

type Import<Denial> = {
  actor: Actor;
  at: Date;
  reason: string;
  isDryRun: boolean;
  /** Null when the user may have the roles. */
  decide: (authority: Authority, user: UserToImport) => Denial | null;
  effects: (user: UserToImport) => Effect[];
};

type Conflict = Extract<ImportResult<never>, { kind: 'existing' | 'taken' }>;
type Results<Denial> = Map<UserToImport, ImportResult<Denial>>;

/** Rolls the transaction of a dry run back. */
class DryRun<Denial> extends Error {
  readonly results: Results<Denial>;
  constructor(results: Results<Denial>) {
    super('dry run');
    this.results = results;
  }
}

export type UserImport = ReturnType<typeof createUserImport>;

export function createUserImport(db: Db, newId: () => string) {
  async function importAll<Denial>(users: UserToImport[], options: Import<Denial>): Promise<Results<Denial>> {
    const { actor, at, reason, isDryRun, decide, effects } = options;
    const importing = db.transaction().execute(async (trx) => {
      const results: Results<Denial> = new Map();
      const lock = users.some(({ roles }) => roles.length > 0) ? 'exclusive' : 'shared';
      const authority = await lockAuthority(trx, actor, { lock, at });
      for (const user of users) {
        const denial = decide(authority, user);
        if (denial !== null) results.set(user, { kind: 'denied', denial });
      }
      const taken = await takenParts(trx, users);
      for (const [user, field] of taken) if (!results.has(user)) results.set(user, { kind: 'taken', field });
      const created = await insertUsers(
        trx,
        users.filter((user) => !results.has(user)),
        at,
      );
      for (const user of users) if (created.has(user.id)) results.set(user, { kind: 'imported' });
      // An existing account has its identities and factors from the import before.
      const others = users.filter((user) => !created.has(user.id) && results.get(user)?.kind !== 'denied');
      for (const [user, result] of await conflictsOf(trx, others, taken, at)) results.set(user, result);
      const made = users.filter(({ id }) => created.has(id));
      await insertRoles(trx, made, { at, reason, grantedBy: actorName(actor) });
      await insertIdentities(trx, made, at);
      await insertFactors(trx, made);
      await writeEffects(trx, newId, { at, effects: made.flatMap(effects) });
      if (isDryRun) throw new DryRun(results);
      return results;
    });
    return importing.catch((error: unknown) => {
      if (error instanceof DryRun) return error.results as Results<Denial>;
      throw error;
    });
  }

  return {
    /** Leaves existing accounts unchanged. The users differ in id, external id, email, identities and credentials. */
    async importAll<Denial>(users: UserToImport[], options: Import<Denial>): Promise<Results<Denial>> {
      try {
        return await importAll(users, options);
      } catch (error) {
        // Another transaction added an identity or a passkey since it was looked up. Now it is found.
        if (!OF_PARTS.some((constraint) => isUniqueViolation(error, constraint))) throw error;
        return await importAll(users, options);
      }
    },
  };
}

const OF_PARTS = ['identities_issuer_subject_key', 'factors_credential_id_key'];

function keyOf({ issuer, subject }: Pick<NewIdentity, 'issuer' | 'subject'>): string {
  return JSON.stringify([issuer, subject]);
}

/** The part of each user that another account has already. */
async function takenParts(trx: Db, users: UserToImport[]): Promise<Map<UserToImport, TakenPart>> {
  const identities = await takenIdentities(trx, users);
  const credentials = await takenCredentials(trx, users);
  const taken = new Map<UserToImport, TakenPart>();
  for (const user of users) {
    if (user.identities.some((identity) => identities.has(keyOf(identity)))) taken.set(user, 'identities');
    else if (hasTakenCredential(user, credentials)) taken.set(user, 'factors');
  }
  return taken;
}

async function takenIdentities(trx: Db, users: UserToImport[]): Promise<Set<string>> {
  const given = users.flatMap(({ identities }) => identities.map(({ issuer, subject }) => ({ issuer, subject })));
  if (given.length === 0) return new Set();
  const { rows } = await sql<{ issuer: string; subject: string }>`
    SELECT issuer, subject FROM identities
    JOIN jsonb_to_recordset(${JSON.stringify(given)}) AS given (issuer text, subject text) USING (issuer, subject)
  `.execute(trx);
  return new Set(rows.map(keyOf));
}

async function insertUsers(trx: Db, users: UserToImport[], at: Date): Promise<Set<string>> {
  const rows = users.map((user) => ({
    id: user.id,
    external_id: user.externalId,
    email: user.email,
    full_name: user.fullName,
    password_hash: user.passwordHash,
    email_verified_at: user.emailVerified ? at : null,
    disabled_at: user.disabled ? at : null,
    created_at: user.createdAt,
  }));
  const { rows: created } = await sql<{ id: string }>`
    INSERT INTO users (id, external_id, email, full_name, password_hash, email_verified_at, disabled_at, created_at)
    SELECT id, external_id, email, full_name, password_hash, email_verified_at, disabled_at, created_at
    FROM jsonb_to_recordset(${JSON.stringify(rows)}) AS row (
      id uuid, external_id text, email text, full_name text, password_hash text,
      email_verified_at timestamptz, disabled_at timestamptz, created_at timestamptz)
    WHERE NOT email_reserved(email, NULL, ${at}) AND NOT EXISTS (SELECT FROM service_accounts WHERE id = row.id)
    ORDER BY email -- Imports of the same accounts then lock in the same order.
    ON CONFLICT DO NOTHING RETURNING id
  `.execute(trx);
  return new Set(created.map(({ id }) => id));
}

/** Finds the reason why users were not inserted. A reserved email belongs to the account that can still undo its change. */
async function conflictsOf(
  trx: Db,
  users: UserToImport[],
  taken: ReadonlyMap<UserToImport, TakenPart>,
  at: Date,
): Promise<Map<UserToImport, Conflict>> {
  if (users.length === 0) return new Map();
  const rows = users.map(({ id, externalId, email }) => ({ id, external_id: externalId, email }));
  const { rows: found } = await sql<{ id: string; owner: string | null; by_id: boolean; by_external_id: boolean }>`
    SELECT row.id,
      coalesce(
        (SELECT id FROM users WHERE email = row.email),
        (SELECT user_id FROM email_changes WHERE old_email = row.email AND ended_at IS NULL
          AND undo_ends_at(asked_at, changed_at) > ${at} LIMIT 1)) AS owner,
      EXISTS (SELECT FROM users WHERE id = row.id)
        OR EXISTS (SELECT FROM service_accounts WHERE id = row.id) AS by_id,
      EXISTS (SELECT FROM users WHERE external_id = row.external_id) AS by_external_id
    FROM jsonb_to_recordset(${JSON.stringify(rows)}) AS row (id uuid, external_id text, email text)
  `.execute(trx);
  const byId = new Map(found.map((one) => [one.id, one]));
  return new Map(
    users.map((user): [UserToImport, Conflict] => {
      const conflict = byId.get(user.id);
      if (conflict?.owner) return [user, { kind: 'existing', userId: conflict.owner }];
      if (conflict?.by_id) return [user, { kind: 'taken', field: 'user_id' }];
      return [
        user,
        { kind: 'taken', field: conflict?.by_external_id ? 'external_id' : (taken.get(user) ?? 'identities') },
      ];
    }),
  );
}

async function insertRoles(
  trx: Db,
  users: UserToImport[],
  { at, reason, grantedBy }: { at: Date; reason: string; grantedBy: string },
): Promise<void> {
  const granted = { granted_at: at, granted_by: grantedBy, reason };
  const rows = users.flatMap(({ id, roles }) => [
    { user_id: id, role: USER_ROLE, granted_at: at, granted_by: null, reason: '' },
    ...roles.map((role) => ({ user_id: id, role, ...granted })),
  ]);
  if (rows.length > 0) await trx.insertInto('user_roles').values(rows).execute();
}

/** As insertFactors. */
async function insertIdentities(trx: Db, users: UserToImport[], at: Date): Promise<void> {
  const rows = users.flatMap(({ id, createdAt, identities }) =>
    identities.map((identity) => ({ ...identity, user_id: id, created_at: createdAt, last_used_at: at })),
  );
  if (rows.length > 0) await trx.insertInto('identities').values(rows).execute();
}
