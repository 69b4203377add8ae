import { sql } from 'kysely';
import type { Db } from './database.ts';
import { missingGrants } from './grants.ts';
import { schemaProblem } from './migration-history.ts';
import { assertServiceRole } from './service-role.ts';

export type DatabaseDiagnosis = {
  version: string;
  /** By its clock. */
  now: Date;
  /** Why the service cannot use the schema; null when it can. */
  schemaProblem: string | null;
  /** Why this login is not one for the service; null when it is. */
  roleProblem: string | null;
  /** Whether the partitions of the audit trail for next month are there. */
  hasPartitions: boolean;
};

/** For an operator who wants to know what is wrong. @throws when it cannot be reached */
export async function diagnoseDatabase(db: Db): Promise<DatabaseDiagnosis> {
  const { rows } = await sql<{ version: string; now: Date; hasPartitions: boolean }>`
    SELECT current_setting('server_version') AS version, clock_timestamp() AS now,
      to_regclass('audit_events_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')) IS NOT NULL
        AS "hasPartitions"
  `.execute(db);
  const [found] = rows;
  if (!found) throw new Error('Postgres has not answered');
  const problem = await schemaProblem(db).catch((error: Error) => error.message);
  const roleProblem = await assertServiceRole(db).then(
    () => grantsProblem(db),
    (error: Error) => error.message,
  );
  return { ...found, schemaProblem: problem, roleProblem };
}

async function grantsProblem(db: Db): Promise<string | null> {
  const missing = await missingGrants(db);
  if (missing.length === 0) return null;
  const others = missing.length > 1 ? `, and ${missing.length - 1} other privileges` : '';
  return `DATABASE_URL connects as a role that lacks ${missing[0]}${others}: run migrate, and see that latchkey_service is granted to it`;
}
