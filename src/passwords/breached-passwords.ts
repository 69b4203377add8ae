// A file for each prefix of five hex digits of the SHA-1, with lines `<other 35 digits>:<count>`. No request is sent.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Password } from '../domain/password.ts';

/** Many times the largest range file. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * With an unreadable file the password is accepted: it has passed the blocklist, and a broken disk must not prevent
 * users from changing their password. @param folder null to disable the check
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
      // Lines with a count of 0 are padding.
      return new RegExp(`^${suffix}:0*[1-9]`, 'im').test(lines);
    } catch (error) {
      onUnreadable(error);
      return false;
    }
  };
}

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
