// A database of a release: <release>.sql.gz is the dump, <release>.json has the values that a test needs to use its data.
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import pg from 'pg';

export type ReleaseDump = {
  release: string;
  /** The commit whose code made the database. It serves beside the current code. */
  revision: string;
  /** The proto package of its services. */
  protoPackage: string;
  masterKey: string;
  /** Signed in, with the role `clerk`. The refresh token is the current one of the session. */
  ada: Account & { refreshToken: string };
  /** Signed out. The refresh token belongs to the ended session. */
  grace: Account & { refreshToken: string };
  /** Holds the role `admin`. */
  chief: Account;
  /** The key of the service account `billing`, which has the role `latchkey.roles.read`. */
  apiKey: string;
};

type Account = { userId: string; email: string; password: string };

export const FOLDER = new URL('./', import.meta.url);

/** All of them, the oldest first. */
export function releaseDumps(): ReleaseDump[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
  return files.toSorted().map((file) => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')));
}

/** Fills an empty database. It leaves out the commands of psql in the dump, because it does not use psql. */
export async function restoreDump(release: string, ownerUrl: string): Promise<void> {
  const text = gunzipSync(readFileSync(new URL(`${release}.sql.gz`, FOLDER))).toString('utf8');
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await client.query(text.replaceAll(/^\\.*$/gm, ''));
    // The dump counts as made just now, so that no effect has waited long enough to be out of date.
    await client.query('UPDATE public.outbox SET created_at = now()');
  } finally {
    await client.end();
  }
}
