// An applied migration must not change. Otherwise two databases of one release would differ and both seem up to date.
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { type Migration, releaseMigrations } from './migration-files.ts';

type AppliedMigration = Pick<Migration, 'name' | 'sha256'>;

export type MigrationHistory = {
  problem: string | null;
  pending: Migration[];
  newer: string[];
};

const MADE_BEFORE_THE_FIRST_RELEASE =
  'this database was made before the first release, and its schema cannot be upgraded: ' +
  'delete .latchkey/dev (npm start), or give "migrate" an empty database';

function compareHistory(release: Migration[], applied: AppliedMigration[]): MigrationHistory {
  const hashes = new Map(applied.map(({ name, sha256 }) => [name, sha256]));
  const pending = release.filter(({ name }) => !hashes.has(name));
  const known = new Set(release.map(({ name }) => name));
  const newer = applied.map(({ name }) => name).filter((name) => !known.has(name));
  return { problem: historyProblem(release, hashes, pending, newer), pending, newer };
}

function historyProblem(
  release: Migration[],
  applied: Map<string, string>,
  pending: Migration[],
  newer: string[],
): string | null {
  const changed = release.find(({ name, sha256 }) => applied.has(name) && applied.get(name) !== sha256);
  if (changed) {
    return (
      `migration ${changed.name} was changed after it was applied to this database: ` +
      'run the release that applied it, or restore the file as it was'
    );
  }
  const last = release.at(-1)?.name ?? '';
  const foreign = newer.find((name) => name < last || pending.length > 0);
  if (foreign !== undefined) {
    return `migration ${foreign}, which this release does not have, was applied to this database: use the release that has it`;
  }
  const lastApplied = [...applied.keys()].toSorted().at(-1) ?? '';
  const skipped = pending.find(({ name }) => name < lastApplied);
  if (skipped === undefined) return null;
  return `migration ${skipped.name} was not applied to this database, although the later ${lastApplied} was`;
}

/** @throws when Postgres cannot be reached, or the login cannot read the table */
export async function readHistory(db: Db, release?: Migration[]): Promise<MigrationHistory> {
  const { rows: columns } = await sql<{ name: string }>`
    SELECT attname AS name FROM pg_attribute
    WHERE attrelid = to_regclass('schema_migrations') AND attnum > 0 AND NOT attisdropped
  `.execute(db);
  const migrations = release ?? (await releaseMigrations());
  if (columns.length === 0) return compareHistory(migrations, []);
  if (!columns.some(({ name }) => name === 'sha256')) {
    return { problem: MADE_BEFORE_THE_FIRST_RELEASE, pending: [], newer: [] };
  }
  return compareHistory(migrations, await db.selectFrom('schema_migrations').select(['name', 'sha256']).execute());
}

/** The reason why the service cannot use the schema, or null. A newer schema is accepted, for rolling upgrades. */
export async function schemaProblem(db: Db): Promise<string | null> {
  const { problem, pending } = await readHistory(db);
  if (problem !== null || pending.length === 0) return problem;
  return `migrations have not run: ${pending.map(({ name }) => name).join(', ')}`;
}
