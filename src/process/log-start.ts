import type { Log } from './log.ts';
import type { Build } from './release.ts';

/** The first line of the log. */
export function logStart(log: Log, { version, commit }: Build): void {
  const fields = { service_version: version, commit, node_version: process.versions.node };
  log.info(fields, 'Latchkey starts');
}
