import { appendFile } from 'node:fs/promises';
import type { Log } from '../process/log.ts';
import type { Store } from '../store/store.ts';

export type AnchoringDeps = {
  store: Pick<Store, 'auditTrail'>;
  /** How often the end of the audit chain is written to places that the database cannot change. 0 for never. */
  anchorEveryMs: number;
  anchorFile: string | null;
};

/** For `audit verify --anchors`. Returns a function that stops it. */
export function startAnchoring(deps: AnchoringDeps, log: Log): () => void {
  if (deps.anchorEveryMs === 0) return () => {};
  const timer = setInterval(() => {
    writeAnchor(deps, log).catch((err: unknown) => log.warn({ err }, 'anchoring the audit trail'));
  }, deps.anchorEveryMs);
  return () => clearInterval(timer);
}

async function writeAnchor({ store, anchorFile }: AnchoringDeps, log: Log): Promise<void> {
  const { seq, hash } = await store.auditTrail.anchor();
  const anchor = { audit_seq: String(seq), audit_hash: hash };
  log.info(anchor, 'audit anchor');
  if (anchorFile !== null) await appendFile(anchorFile, `${JSON.stringify(anchor)}\n`);
}
