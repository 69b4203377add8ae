// The sources of an earlier commit, for figures that are promised against it. They run with the packages of today.
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
export async function checkOut(commit: string): Promise<string | null> {
  const id = await run('git', ['rev-parse', '--verify', '--quiet', `${commit}^{commit}`]).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
  if (id === null) return null;
  const folder = join(FOLDER, id.slice(0, 12));
  if (existsSync(folder)) return folder;
  mkdirSync(FOLDER, { recursive: true });
  const draft = mkdtempSync(join(FOLDER, 'draft-'));
  const archive = join(draft, 'sources.tar');
  await run('git', ['archive', '--output', archive, id, 'src', 'gen', 'proto', 'package.json']);
  await run('tar', ['-xf', archive, '-C', draft]);
  rmSync(archive);
  renameSync(draft, folder);
  return folder;
}
