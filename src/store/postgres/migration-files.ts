import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

export type Migration = {
  name: string;
  text: string;
  sha256: string;
};

const FOLDER = new URL('../migrations/', import.meta.url);

let ofThisRelease: Promise<Migration[]> | undefined;

/** Reads the files once: a later change of them has no effect on this process. */
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
