// The version and the commit of the running process.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

type Manifest = {
  version: string;
  /** The build of the npm package writes it. */
  gitHead?: string;
};

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MANIFEST: Manifest = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
const COMMIT_DIGITS = 12;
const FORM = /^[0-9A-Za-z][\w.-]{0,63}$/;

export const RELEASE: string = MANIFEST.version;

let known: string | undefined;

/** `unknown` outside an image, a package and a checkout that have it. @param given LATCHKEY_COMMIT counts first */
export function commitOf(given: string | undefined): string {
  if (given !== undefined && FORM.test(given)) return given;
  known ??= MANIFEST.gitHead?.slice(0, COMMIT_DIGITS) ?? checkedOutCommit() ?? 'unknown';
  return known;
}

/**
 * Null outside a checkout of Latchkey: a package that is installed in another project must not report that project's
 * commit.
 */
function checkedOutCommit(): string | null {
  if (!existsSync(`${ROOT}.git`)) return null;
  const { status, stdout } = spawnSync('git', ['rev-parse', `--short=${COMMIT_DIGITS}`, 'HEAD'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 5_000,
  });
  return status === 0 ? stdout.trim() || null : null;
}
