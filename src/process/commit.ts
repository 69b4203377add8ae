import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DIGITS = 12;

let known: string | null | undefined;

/**
 * The image has the commit in LATCHKEY_COMMIT, the npm package in its manifest, and a checkout in git. Null elsewhere.
 * @param configured LATCHKEY_COMMIT
 */
export function commitOf(configured: string | undefined): string | null {
  if (configured) return configured;
  if (known === undefined) known = packagedCommit() ?? checkedOutCommit();
  return known;
}

/** The build of the package writes `gitHead`. */
function packagedCommit(): string | null {
  const { gitHead }: { gitHead?: string } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  return gitHead?.slice(0, DIGITS) ?? null;
}

/**
 * Returns null outside a checkout: a package that is installed in another project must not report that project's
 * commit.
 */
function checkedOutCommit(): string | null {
  if (!existsSync(`${ROOT}.git`)) return null;
  const { status, stdout } = spawnSync('git', ['rev-parse', `--short=${DIGITS}`, 'HEAD'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 5_000,
  });
  return status === 0 ? stdout.trim() || null : null;
}
