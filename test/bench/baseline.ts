// The service of an earlier commit, for figures that are promised against it. It runs with the packages of today.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** The last one before the HTTP/2 engine and the shared Refresh statement. */
export const BASELINE = '2948b66c186732bbbd653913cf557f098ee3d334';
/** Node strips no types below node_modules, so this is no part of the other cache. */
const FOLDER = resolve('.latchkey/bench');

/** @returns its folder, or null in a clone without the commit */
export async function checkOutBaseline(): Promise<string | null> {
  const folder = join(FOLDER, BASELINE.slice(0, 12));
  if (existsSync(folder)) return folder;
  const isThere = await run('git', ['cat-file', '-e', `${BASELINE}^{commit}`]).then(
    () => true,
    () => false,
  );
  if (!isThere) return null;
  mkdirSync(FOLDER, { recursive: true });
  const draft = mkdtempSync(join(FOLDER, 'draft-'));
  const archive = join(draft, 'baseline.tar');
  await run('git', ['archive', '--output', archive, BASELINE, 'src', 'gen', 'proto', 'package.json']);
  await run('tar', ['-xf', archive, '-C', draft]);
  rmSync(archive);
  renameSync(draft, folder);
  return folder;
}
