import { type Selectable, sql } from 'kysely';
import type { Actor } from '../domain/actor.ts';
import type { Effect } from '../domain/effect.ts';
import { type AdminChange, lockAuthority } from './authority.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';
import type { Schema } from './postgres/schema.ts';
import { isUniqueViolation } from './postgres/violation.ts';
import { grantsOfServices, type RoleGrant } from './role-grants.ts';
import { rolesCountAt } from './user-columns.ts';

export type ServiceAccount = {
  id: string;
  name: string;
  description: string;
  createdAt: Date;
  createdBy: string;
  disabledAt: Date | null;
  roles: string[];
  grants: RoleGrant[];
};

export type ApiKey = {
  id: string;
  serviceAccountId: string;
  name: string;
  createdAt: Date;
  createdBy: string;
  expiresAt: Date;
  revokedAt: Date | null;
  lastUsedAt: Date | null;
};

export type ExpiringKey = Pick<ApiKey, 'serviceAccountId' | 'name' | 'expiresAt'> & { service: string };

export type KeyHolder = {
  keyId: string;
  serviceAccountId: string;
  name: string;
  roles: string[];
  claimsEpoch: number;
  rolesEpoch: number;
  createdAt: Date;
  /** The time when the key or the first of its roles expires. */
  until: Date;
};

/** The holder and the fault of a key are for the log. */
export type InvalidKey = Pick<KeyHolder, 'keyId' | 'name'> & { fault: 'revoked' | 'expired' | 'disabled' };

type RevokedKey = Pick<ApiKey, 'serviceAccountId' | 'name' | 'expiresAt'>;

export type ServiceAccountChange = 'disable' | 'enable' | 'delete';

export type ServiceAccounts = ReturnType<typeof createServiceAccounts>;

const LAST_USED_EVERY = '1 minute';

export function createServiceAccounts(db: Db, newId: () => string, clock: () => Date) {
  const rowsOf = (of: Db) =>
    of.selectFrom('service_accounts').selectAll().select(sql<string[]>`roles_of_service(id, ${clock()})`.as('roles'));

  async function accountBy(of: Db, column: 'id' | 'name', value: string): Promise<ServiceAccount | null> {
    const row = await rowsOf(of).where(column, '=', value).executeTakeFirst();
    return row ? toAccount(row, await grantsOfServices(of, [row.id])) : null;
  }

  return {
    byId: (id: string) => accountBy(db, 'id', id),
    byName: (name: string) => accountBy(db, 'name', name),

    /** Sorted by name. @param after the last name of the page before, or empty */
    async list(after: string, atMost: number): Promise<ServiceAccount[]> {
      const rows = await rowsOf(db).where('name', '>', after).orderBy('name').limit(atMost).execute();
      const ids = rows.map(({ id }) => id);
      const grants = await grantsOfServices(db, ids);
      return rows.map((row) => toAccount(row, grants));
    },

    /** False when the name is taken. */
    async create(
      account: Pick<ServiceAccount, 'id' | 'name' | 'description' | 'createdBy'>,
      { actor, at, effects }: { actor: Actor; at: Date; effects: Effect[] },
    ): Promise<boolean> {
      const { id, name, description, createdBy } = account;
      const creating = db.transaction().execute(async (trx) => {
        await lockAuthority(trx, actor, { lock: 'shared', at });
        const row = { id, name, description, created_at: at, created_by: createdBy };
        await trx.insertInto('service_accounts').values(row).execute();
        await writeEffects(trx, newId, { at, effects });
        return true;
      });
      return creating.catch((error: unknown) => {
        if (isUniqueViolation(error, 'service_accounts_name_key')) return false;
        throw error;
      });
    },

    /** Idempotent. Null when the account does not exist. */
    async change(
      id: string,
      change: ServiceAccountChange,
      { actor, at, decide, effects }: AdminChange<[before: ServiceAccount], [roles: string[]]>,
    ): Promise<ServiceAccount | null> {
      return db.transaction().execute(async (trx) => {
        const authority = await lockAuthority(trx, actor, { lock: 'exclusive', at });
        await trx.selectFrom('service_accounts').select('id').where('id', '=', id).forUpdate().execute();
        const before = await accountBy(trx, 'id', id);
        if (!before) return null;
        decide(authority, before.roles);
        if (change === 'delete') await trx.deleteFrom('service_accounts').where('id', '=', id).execute();
        else if ((change === 'disable') === (before.disabledAt !== null)) return before;
        else {
          const disabledAt = change === 'disable' ? at : null;
          await trx.updateTable('service_accounts').set({ disabled_at: disabledAt }).where('id', '=', id).execute();
        }
        await writeEffects(trx, newId, { at, effects: effects(before) });
        return before;
      });
    },

    async keysOf(serviceAccountId: string): Promise<ApiKey[]> {
      const rows = await db
        .selectFrom('api_keys')
        .select(['id', 'service_account_id', 'name', 'created_at', 'created_by', 'expires_at', 'revoked_at'])
        .select('last_used_at')
        .where('service_account_id', '=', serviceAccountId)
        .orderBy('created_at')
        .execute();
      return rows.map((row) => ({
        id: row.id,
        serviceAccountId: row.service_account_id,
        name: row.name,
        createdAt: row.created_at,
        createdBy: row.created_by,
        expiresAt: row.expires_at,
        revokedAt: row.revoked_at,
        lastUsedAt: row.last_used_at,
      }));
    },

    async keysThatExpireBy(time: Date): Promise<ExpiringKey[]> {
      return db
        .selectFrom('api_keys')
        .innerJoin('service_accounts', 'service_accounts.id', 'service_account_id')
        .select(['service_account_id as serviceAccountId', 'service_accounts.name as service'])
        .select(['api_keys.name as name', 'expires_at as expiresAt'])
        .where('revoked_at', 'is', null)
        .where('disabled_at', 'is', null)
        .where('expires_at', '>', clock())
        .where('expires_at', '<=', time)
        .orderBy('expires_at')
        .execute();
    },

    /** Stores only the hash of the key. False when the account does not exist. */
    async addKey(
      key: Pick<ApiKey, 'id' | 'serviceAccountId' | 'name' | 'createdBy' | 'expiresAt'> & { hash: Buffer },
      { actor, at, decide, effects }: AdminChange<[], [roles: string[]]>,
    ): Promise<boolean> {
      const { id, serviceAccountId, name, hash, createdBy, expiresAt } = key;
      const row = {
        id,
        service_account_id: serviceAccountId,
        name,
        hash,
        created_at: at,
        created_by: createdBy,
        expires_at: expiresAt,
      };
      return db.transaction().execute(async (trx) => {
        const authority = await lockAuthority(trx, actor, { lock: 'exclusive', at });
        const locked = trx.selectFrom('service_accounts').select('id').where('id', '=', serviceAccountId);
        await locked.forNoKeyUpdate().execute();
        const account = await accountBy(trx, 'id', serviceAccountId);
        if (!account) return false;
        decide(authority, account.roles);
        await trx.insertInto('api_keys').values(row).execute();
        await writeEffects(trx, newId, { at, effects: effects() });
        return true;
      });
    },

    /** False when the key does not exist or was revoked before. */
    async revokeKey(
      id: string,
      { actor, at, decide, effects }: AdminChange<[key: RevokedKey], [roles: string[]]>,
    ): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        const authority = await lockAuthority(trx, actor, { lock: 'exclusive', at });
        const key = await trx
          .selectFrom('api_keys')
          .select('service_account_id')
          .where('id', '=', id)
          .executeTakeFirst();
        const account = key && (await accountBy(trx, 'id', key.service_account_id));
        if (!account) return false;
        decide(authority, account.roles);
        const revoked = await trx
          .updateTable('api_keys')
          .set({ revoked_at: at })
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .returning(['service_account_id as serviceAccountId', 'name', 'expires_at as expiresAt'])
          .executeTakeFirst();
        if (!revoked) return false;
        await writeEffects(trx, newId, { at, effects: effects(revoked) });
        return true;
      });
    },

    /** Records their use. Returns the holders by hash in base64; unknown keys are absent. */
    async useKeys(hashes: Buffer[]): Promise<Map<string, KeyHolder | InvalidKey>> {
      const now = clock();
      const at = rolesCountAt(now);
      const fault = sql`CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN api_keys.expires_at <= ${at} THEN 'expired'
          WHEN disabled_at IS NOT NULL THEN 'disabled' END`;
      const { rows } = await sql<KeyHolderRow>`
        WITH used AS (
          UPDATE api_keys SET last_used_at = ${now}
          WHERE hash = ANY(${hashes}::bytea[])
            AND (last_used_at IS NULL OR last_used_at < ${now}::timestamptz - ${LAST_USED_EVERY}::interval))
        SELECT hash, ${fault} AS fault, api_keys.id AS key_id, api_keys.created_at, service_accounts.id, service_accounts.name, claims_epoch,
          roles_of_service(service_accounts.id, ${at}) AS roles, (SELECT epoch FROM roles_epoch) AS roles_epoch,
          least(api_keys.expires_at, (
            SELECT min(expires_at) FROM service_account_roles
            WHERE service_account_id = service_accounts.id AND expires_at > ${at})) AS until
        FROM api_keys JOIN service_accounts ON service_accounts.id = service_account_id
        WHERE hash = ANY(${hashes}::bytea[])
      `.execute(db);
      return new Map(rows.map((row) => [row.hash.toString('base64'), toKeyHolder(row)]));
    },
  };
}

type Row = Selectable<Schema['service_accounts']> & { roles: string[] };

function toAccount(row: Row, grants: Map<string, RoleGrant[]>): ServiceAccount {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    roles: row.roles,
    grants: grants.get(row.id) ?? [],
    createdAt: row.created_at,
    createdBy: row.created_by,
    disabledAt: row.disabled_at,
  };
}

type KeyHolderRow = {
  hash: Buffer;
  fault: InvalidKey['fault'] | null;
  key_id: string;
  id: string;
  name: string;
  claims_epoch: number;
  roles: string[];
  roles_epoch: number;
  created_at: Date;
  until: Date;
};

function toKeyHolder(row: KeyHolderRow): KeyHolder | InvalidKey {
  if (row.fault !== null) return { fault: row.fault, keyId: row.key_id, name: row.name };
  return {
    keyId: row.key_id,
    serviceAccountId: row.id,
    name: row.name,
    roles: row.roles,
    until: row.until,
    claimsEpoch: row.claims_epoch,
    rolesEpoch: row.roles_epoch,
    createdAt: row.created_at,
  };
}
