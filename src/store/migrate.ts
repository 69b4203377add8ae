// Brings the schema to the state of migrations/*.sql. Needs the schema's owner; everything else runs as the service.
import { readdir, readFile } from 'node:fs/promises';
import { sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import type { Db } from './database.ts';

const FOLDER = new URL('./migrations/', import.meta.url);
const TABLE = 'schema_migrations';

/**
 * Runs what has not run yet, all in one transaction; several processes may call it at once.
 * @returns the names of the migrations it ran
 */
export async function migrate(db: Db): Promise<string[]> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: readMigrations },
    migrationTableName: TABLE,
    migrationLockTableName: `${TABLE}_lock`,
  });
  const { error, results = [] } = await migrator.migrateToLatest();
  if (error) throw error;
  return results.map((result) => result.migrationName);
}

/** Whether every migration of this release has run; later ones, of a newer release, do no harm. */
export async function isMigrated(db: Db): Promise<boolean> {
  const wanted = await migrationNames();
  const rows = await db.selectFrom(TABLE).select('name').execute();
  const done = new Set(rows.map((row) => row.name));
  return wanted.every((name) => done.has(name));
}

async function migrationNames(): Promise<string[]> {
  const files = await readdir(FOLDER);
  return files.filter((file) => file.endsWith('.sql')).map((file) => file.slice(0, -'.sql'.length));
}

async function readMigrations(): Promise<Record<string, Migration>> {
  const migrations: Record<string, Migration> = {};
  for (const name of await migrationNames()) {
    const text = await readFile(new URL(`${name}.sql`, FOLDER), 'utf8');
    migrations[name] = { up: async (db) => void (await sql.raw(text).execute(db)) };
  }
  return migrations;
}
