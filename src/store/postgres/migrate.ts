// Requires the owner of the schema. Everything else runs as the service.
import { sql } from 'kysely';
import { OperatorError } from '../../process/operator-error.ts';
import type { Db } from './database.ts';
import { applyGrants } from './grants.ts';
import { type Migration, releaseMigrations } from './migration-files.ts';
import { type MigrationHistory, readHistory } from './migration-history.ts';
import { withMigrationLock } from './migration-lock.ts';
import { ensureServiceRole } from './service-role.ts';

export type MigrateOptions = {
  migrations?: Migration[];
  lockWaitMs?: number;
};

export type MigrateResult = {
  applied: string[];
  /** Migrations of a newer release. When there are any, nothing was changed. */
  newer: string[];
};

/** Parallel calls run one after the other. @throws OperatorError when the database has another history */
export async function migrate(db: Db, options: MigrateOptions = {}): Promise<MigrateResult> {
  const migrations = options.migrations ?? (await releaseMigrations());
  const { newer } = await usableHistory(db, migrations);
  if (newer.length > 0) return { applied: [], newer };
  // A separate transaction: roles belong to the cluster, so the `migrate` of another database would wait for this one.
  await ensureServiceRole(db);
  return withMigrationLock(
    db,
    async (transaction) => {
      const history = await usableHistory(transaction, migrations);
      if (history.newer.length > 0) return { applied: [], newer: history.newer };
      await createHistoryTable(transaction);
      for (const migration of history.pending) await apply(transaction, migration);
      await applyGrants(transaction);
      return { applied: history.pending.map(({ name }) => name), newer: [] };
    },
    options.lockWaitMs,
  );
}

async function usableHistory(db: Db, migrations: Migration[]): Promise<MigrationHistory> {
  const history = await readHistory(db, migrations);
  if (history.problem !== null) throw new OperatorError(history.problem);
  return history;
}

async function createHistoryTable(db: Db): Promise<void> {
  await sql`
    CREATE TABLE IF NOT EXISTS schema_migrations (
      name text CONSTRAINT schema_migrations_pkey PRIMARY KEY,
      sha256 text NOT NULL CONSTRAINT schema_migrations_sha256_form CHECK (sha256 ~ '^[0-9a-f]{64}$'),
      applied_at timestamptz NOT NULL DEFAULT now()
    )`.execute(db);
}

async function apply(db: Db, { name, text, sha256 }: Migration): Promise<void> {
  try {
    await sql.raw(text).execute(db);
  } catch (error) {
    if (error instanceof Error) error.message = `migration ${name}: ${error.message}`;
    throw error;
  }
  await db.insertInto('schema_migrations').values({ name, sha256 }).execute();
}
