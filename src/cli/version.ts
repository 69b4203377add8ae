import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processEnvironment } from '../config/config.ts';
import { RELEASE } from '../process/release.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** `latchkey 1.2.0 (0123456789ab)`, without the commit where it is unknown. */
export function versionLine(): string {
  const commit = processEnvironment().LATCHKEY_COMMIT || checkedOutCommit();
  return `latchkey ${RELEASE}${commit ? ` (${commit})` : ''}`;
}

/**
 * Returns null outside a checkout: a package that is installed in another project must not report that project's
 * commit.
 */
function checkedOutCommit(): string | null {
  if (!existsSync(join(ROOT, '.git'))) return null;
  const { status, stdout } = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}
