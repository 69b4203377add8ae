import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { conditionOf } from '../../process/condition-name.ts';
import type { Db } from './database.ts';
import { missingGrants } from './grants.ts';
import { schemaProblem } from './migration-history.ts';
import { isDatabaseOutage } from './outage.ts';
import { NotPrimaryError } from './primary-guard.ts';

/** Random bytes cannot be compressed, so these fill most of a page. */
const PROBE_BYTES = 6_000;
/** Each probe occupies a page until the next vacuum. */
const PROBE_EVERY_MS = 5_000;
const MOST_GRANTS_NAMED = 3;

/** @returns a function that resolves with a sentence for each problem and never throws */
export function createDatabaseCheck(db: Db): () => Promise<string[]> {
  let writtenAt = Number.NEGATIVE_INFINITY;

  return async () => {
    try {
      const found = [await schemaProblem(db), grantsProblem(await missingGrants(db))];
      const problems = found.filter((problem) => problem !== null);
      if (problems.length === 0 && performance.now() - writtenAt > PROBE_EVERY_MS) {
        await probeWrite(db);
        writtenAt = performance.now();
      }
      return problems;
    } catch (error) {
      writtenAt = Number.NEGATIVE_INFINITY;
      return [problemOf(error)];
    }
  };
}

export async function probeWrite(db: Db): Promise<void> {
  await sql`SELECT probe_write(${randomBytes(PROBE_BYTES)})`.execute(db);
}

export function grantsProblem(missing: string[]): string | null {
  if (missing.length === 0) return null;
  const more = missing.length > MOST_GRANTS_NAMED ? ` and ${missing.length - MOST_GRANTS_NAMED} more` : '';
  return `privileges are missing: ${missing.slice(0, MOST_GRANTS_NAMED).join(', ')}${more}`;
}

/** Contains no host and no login, because readiness is public. */
function problemOf(error: unknown): string {
  if (error instanceof NotPrimaryError) return error.message;
  const condition = conditionOf(error);
  if (condition !== null) return `Postgres answers with an error: ${condition}`;
  return isDatabaseOutage(error) ? 'Postgres does not answer' : 'Postgres cannot be used';
}
