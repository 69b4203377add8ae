import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processEnvironment } from '../config/config.ts';
import { RELEASE } from '../process/release.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** `latchkey 1.2.0 (0123456789ab)`: the release, and the commit where it is known. */
export function versionLine(): string {
  const commit = processEnvironment().LATCHKEY_COMMIT || checkedOutCommit();
  return `latchkey ${RELEASE}${commit ? ` (${commit})` : ''}`;
}

/** Null outside a checkout. A package that is installed inside another project must not report the commit of that project. */
function checkedOutCommit(): string | null {
  if (!existsSync(join(ROOT, '.git'))) return null;
  const { status, stdout } = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}
