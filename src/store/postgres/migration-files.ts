// The migrations of this release: migrations/*.sql, sorted by name.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

export type Migration = {
  /** The file's name without `.sql`. */
  name: string;
  text: string;
  /** SHA-256 of the text, in hexadecimal. */
  sha256: string;
};

const FOLDER = new URL('../migrations/', import.meta.url);

let ofThisRelease: Promise<Migration[]> | undefined;

/** Reads the files once, so that a later change of the files has no effect on this process. */
export function releaseMigrations(): Promise<Migration[]> {
  ofThisRelease ??= readMigrations(FOLDER);
  return ofThisRelease;
}

/** @param folder ends in a slash */
export async function readMigrations(folder: URL): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).toSorted();
  return Promise.all(
    files.map(async (file) => {
      const text = await readFile(new URL(file, folder), 'utf8');
      return { name: file.slice(0, -'.sql'.length), text, sha256: createHash('sha256').update(text).digest('hex') };
    }),
  );
}
