import { processEnvironment } from '../config/config.ts';
import { buildOf } from '../process/release.ts';

/** `latchkey 1.2.0 (0123456789ab), Node 24.22.3` */
export function versionLine(): string {
  const { version, commit } = buildOf(processEnvironment().LATCHKEY_COMMIT);
  return `latchkey ${version} (${commit}), Node ${process.versions.node}`;
}
