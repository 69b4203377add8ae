// A database as a release left it: <release>.sql.gz is the dump, <release>.json what a test needs to use its data.
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import pg from 'pg';

export type ReleaseDump = {
  release: string;
  /** The commit whose code made the database; it serves beside the present one. */
  revision: string;
  /** The proto package of its services. */
  protoPackage: string;
  masterKey: string;
  /** Signed in; the refresh token is the current one of the session. Holds the role `clerk`. */
  ada: Account & { refreshToken: string };
  /** Signed out; the refresh token is of the session that ended. */
  grace: Account & { refreshToken: string };
  /** Holds the role `admin`. */
  chief: Account;
  /** Of the service account `billing`, which holds `latchkey.roles.read`. */
  apiKey: string;
};

type Account = { userId: string; email: string; password: string };

export const FOLDER = new URL('./', import.meta.url);

/** All of them, the oldest first. */
export function releaseDumps(): ReleaseDump[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
  return files.toSorted().map((file) => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')));
}

/** Fills an empty database. Without psql: its own commands are left out of the dump's text. */
export async function restoreDump(release: string, ownerUrl: string): Promise<void> {
  const text = gunzipSync(readFileSync(new URL(`${release}.sql.gz`, FOLDER))).toString('utf8');
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query(text.replaceAll(/^\\.*$/gm, ''));
    // As if it had been made just now: nothing has waited for so long that it counts as out of date.
    await client.query('UPDATE public.outbox SET created_at = now()');
  } finally {
    await client.end();
  }
}
