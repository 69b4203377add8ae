import { processEnvironment } from '../config/config.ts';
import { commitOf } from '../process/commit.ts';
import { RELEASE } from '../process/release.ts';

/** `latchkey 1.2.0 (0123456789ab)`, without the commit where it is unknown. */
export function versionLine(): string {
  const commit = commitOf(processEnvironment().LATCHKEY_COMMIT);
  return `latchkey ${RELEASE}${commit ? ` (${commit})` : ''}`;
}
