import { processEnvironment } from '../config/config.ts';
import { commitOf, RELEASE } from '../process/release.ts';

/** `latchkey 1.2.0 (0123456789ab), Node 24.22.3` */
export function versionLine(): string {
  return `latchkey ${RELEASE} (${commitOf(processEnvironment().LATCHKEY_COMMIT)}), Node ${process.versions.node}`;
}
