// Passwords of known breaches, from the range files that breach corpora are distributed as: a file for each first five hex digits of
// SHA-1, with a line `<the other 35>:<how often>` for each password. Nothing leaves the machine.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Password } from '../domain/password.ts';

/** Many times the largest one there is. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * A range without a file holds no breached password. A file that cannot be read is reported, and the password passes: the
 * blocklist has seen it, and a broken disk must not keep owners from a new password.
 * @param folder null for no check
 */
export function createBreachCheck(
  folder: string | null,
  onUnreadable: (error: unknown) => void,
): (password: Password) => Promise<boolean> {
  return async (password) => {
    if (folder === null) return false;
    const digest = createHash('sha1').update(password).digest('hex').toUpperCase();
    const [prefix, suffix] = [digest.slice(0, 5), digest.slice(5)];
    try {
      const lines = (await read(join(folder, `${prefix}.txt`))) ?? (await read(join(folder, prefix))) ?? '';
      // Lines that occur no time at all are padding.
      return new RegExp(`^${suffix}:0*[1-9]`, 'im').test(lines);
    } catch (error) {
      onUnreadable(error);
      return false;
    }
  };
}

/** Null when there is no such file. */
async function read(path: string): Promise<string | null> {
  try {
    await using file = await open(path);
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > MAX_FILE_BYTES) throw new Error('not a range file of a breach corpus');
    return await file.readFile('latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
