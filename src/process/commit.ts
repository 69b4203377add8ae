import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Returns null outside a checkout: a package that is installed in another project must not report that project's
 * commit.
 * @param configured LATCHKEY_COMMIT
 */
export function commitOf(configured: string | undefined): string | null {
  if (configured) return configured;
  if (!existsSync(join(ROOT, '.git'))) return null;
  const { status, stdout } = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}
