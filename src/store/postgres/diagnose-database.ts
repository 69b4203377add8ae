import { sql } from 'kysely';
import { conditionOf } from '../../process/condition-name.ts';
import type { Db } from './database.ts';
import { grantsProblem, probeWrite } from './database-problems.ts';
import { missingGrants } from './grants.ts';
import { schemaProblem } from './migration-history.ts';
import { assertServiceRole } from './service-role.ts';

export type DatabaseDiagnosis = {
  version: string;
  /** By the server's clock. */
  now: Date;
  /** The reason why the service cannot use the schema. */
  schemaProblem: string | null;
  /** The reason why this login is unfit for the service. */
  roleProblem: string | null;
  writeProblem: string | null;
  hasPartitions: boolean;
};

/** @throws when Postgres does not answer, or is not the primary */
export async function diagnoseDatabase(db: Db): Promise<DatabaseDiagnosis> {
  const { rows } = await sql<{ version: string; now: Date; hasPartitions: boolean }>`
    SELECT current_setting('server_version') AS version, clock_timestamp() AS now,
      to_regclass('audit_events_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')) IS NOT NULL
        AS "hasPartitions"
  `.execute(db);
  const [found] = rows;
  if (!found) throw new Error('Postgres returned no row');
  const schema = await schemaProblem(db).catch(describe);
  const role = await assertServiceRole(db).then(async () => grantsProblem(await missingGrants(db)), describe);
  const write = await probeWrite(db).then(() => null, describe);
  return { ...found, schemaProblem: schema, roleProblem: role, writeProblem: write };
}

function describe(error: Error): string {
  const condition = conditionOf(error);
  return condition === null ? error.message : `${condition}: ${error.message}`;
}
