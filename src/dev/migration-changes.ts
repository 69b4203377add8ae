// Finds committed migrations that this work tree has changed or removed. The service rejects a database that has
// applied one.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = 'src/store/migrations';
/** Before this file existed, migrations could change. */
const FIRST = `${FOLDER}/0001_baseline.sql`;

/**
 * Compares the work tree with the commit at which its branch left main, and on main itself with the previous commit.
 */
export function migrationProblems(root: string): string[] {
  const base = comparisonBase(root);
  const committed = git(root, 'ls-tree', '--name-only', base, `${FOLDER}/`)?.split('\n') ?? [];
  if (!committed.includes(FIRST)) return [];
  return committed.filter((path) => path.endsWith('.sql')).flatMap((path) => problemOf(root, base, path));
}

function problemOf(root: string, base: string, path: string): string[] {
  const present = read(join(root, path));
  if (present === null) return [`${path} was removed: databases have applied it, so it must stay`];
  if (present === git(root, 'show', `${base}:${path}`)) return [];
  return [`${path} was changed: databases have applied it, so restore it and add a new migration`];
}

function comparisonBase(root: string): string {
  const head = git(root, 'rev-parse', 'HEAD')?.trim();
  for (const main of ['main', 'origin/main']) {
    const base = git(root, 'merge-base', 'HEAD', main)?.trim();
    if (base && base !== head) return base;
  }
  return git(root, 'rev-parse', '--verify', '--quiet', 'HEAD~1^{commit}')?.trim() ?? 'HEAD';
}

function git(root: string, ...args: string[]): string | null {
  const { status, stdout } = spawnSync('git', ['-C', root, ...args], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  return status === 0 ? stdout : null;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
