import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const ATTEMPTS = 20;
const LONGEST_PAUSE_MS = 250;
/** unique_violation, duplicate_object, deadlock_detected */
const LOST_RACES = new Set(['23505', '42710', '40P01']);
/** Postgres has no specific SQLSTATE for this error. */
const CONCURRENT_UPDATE = /tuple concurrently (?:updated|deleted)/;

/** Roles belong to the whole cluster: no lock of one database excludes the `migrate` of another. */
export async function retryRoleRace<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === ATTEMPTS || !isLostRace(error)) throw error;
      await sleep(Math.random() * LONGEST_PAUSE_MS);
    }
  }
}

function isLostRace(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false;
  return LOST_RACES.has(error.code ?? '') || CONCURRENT_UPDATE.test(error.message);
}
