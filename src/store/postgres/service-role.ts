// The service's login cannot alter the schema or rewrite the audit trail, not even after a compromise of the service.
import { sql } from 'kysely';
import { OperatorError } from '../../process/operator-error.ts';
import type { Db } from './database.ts';
import { SERVICE_ROLE } from './grants.ts';
import { withMigrationLock } from './migration-lock.ts';
import { retryRoleRace } from './role-race.ts';

const TIMEOUTS = { statement_timeout: '10s', lock_timeout: '2s', idle_in_transaction_session_timeout: '10s' };

/** @throws unless this connection is a service login on a migrated database */
export async function assertServiceRole(db: Db): Promise<void> {
  const { rows: tables } = await sql`SELECT WHERE to_regclass('audit_events') IS NOT NULL`.execute(db);
  if (tables.length === 0)
    throw new OperatorError('the database has no schema yet: run "node src/main.ts migrate" first');
  const { rows } = await sql<{ excess: string }>`
    SELECT 'change audit events' AS excess WHERE has_table_privilege('audit_events', 'UPDATE, DELETE, TRUNCATE')
    UNION ALL
    SELECT 'alter the schema' WHERE has_schema_privilege('public', 'CREATE')
      OR pg_has_role((SELECT relowner FROM pg_class WHERE oid = 'audit_events'::regclass), 'MEMBER')
  `.execute(db);
  if (rows.length === 0) return;
  const excess = rows.map((row) => row.excess).join(' and ');
  throw new OperatorError(
    `DATABASE_URL connects as a role that can ${excess}: use the login of the service, ` +
      'and the owner of the schema for MIGRATION_DATABASE_URL (docs/guides/production.md, "Database roles")',
  );
}

/** An administrator can create the role for an owner without CREATEROLE. */
export async function ensureServiceRole(db: Db): Promise<void> {
  await retryRoleRace(async () => {
    if (!(await roleExists(db, SERVICE_ROLE))) await sql`CREATE ROLE ${sql.id(SERVICE_ROLE)} NOLOGIN`.execute(db);
  });
}

export async function createServiceLogin(db: Db, name: string, password: string): Promise<void> {
  await retryRoleRace(() => withMigrationLock(db, (transaction) => createLogin(transaction, name, password)));
}

async function createLogin(db: Db, name: string, password: string): Promise<void> {
  const login = sql.id(name);
  const verb = sql.raw((await roleExists(db, name)) ? 'ALTER' : 'CREATE');
  await sql`${verb} ROLE ${login} LOGIN PASSWORD ${sql.lit(password)}`.execute(db);
  await sql`GRANT ${sql.id(SERVICE_ROLE)} TO ${login}`.execute(db);
  // Each connection of the service sets these too. The defaults apply behind a pooler that ignores them.
  for (const [setting, value] of Object.entries(TIMEOUTS)) {
    await sql`ALTER ROLE ${login} SET ${sql.id(setting)} = ${sql.lit(value)}`.execute(db);
  }
}

async function roleExists(db: Db, name: string): Promise<boolean> {
  const { rows } = await sql`SELECT FROM pg_roles WHERE rolname = ${name}`.execute(db);
  return rows.length > 0;
}
