// Every worker repeats small pieces of housekeeping.
import type { Log } from '../process/log.ts';
import { EXPIRING_TABLES, type ExpiringTable } from '../store/expired.ts';
import type { Store } from '../store/store.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export type HousekeepingDeps = {
  store: Pick<Store, 'auditTrail' | 'revocationEvents' | 'expired' | 'signingKeys' | 'users'>;
  rotateKeys: () => Promise<number>;
  metrics: Pick<Metrics, 'houseKept'>;
  now: () => Date;
};

const EVERY_MS = 5_000;
const PARTITIONS_EVERY_MS = 6 * 3600_000;
/** More than a deployment can produce between two rounds. */
const CHANGES_AT_ONCE = 10_000;
const TRACES_AT_ONCE = 10_000;
/** Rows of each table per round, so that a million rows are examined in less than an hour and a half. */
const PAGE = 1_000;

/** Returns a function that stops it. @throws when the partitions of the audit trail cannot be created */
export async function startHousekeeping(deps: HousekeepingDeps, log: Log): Promise<() => void> {
  const { store, rotateKeys, metrics, now } = deps;
  const pages = new Map<ExpiringTable, string | null>();

  async function run(task: string, work: () => Promise<number>): Promise<void> {
    try {
      metrics.houseKept(task, 'done', await work());
    } catch (err) {
      metrics.houseKept(task, 'failed', 0);
      log.warn({ err }, `housekeeping: ${task}`);
    }
  }

  async function sweep(table: ExpiringTable): Promise<number> {
    const { next, removed } = await store.expired.remove(table, pages.get(table) ?? null, PAGE);
    pages.set(table, next);
    return removed;
  }

  async function eraseTraces(): Promise<number> {
    let total = 0;
    for (;;) {
      const erased = await store.users.eraseTraces(TRACES_AT_ONCE);
      if (erased === null) return total;
      total += erased;
    }
  }

  const makePartitions = async () => {
    await store.auditTrail.ensurePartitions();
    return 0;
  };
  await makePartitions();
  // Sequential, so that housekeeping uses one connection at a time.
  let isBusy = false;
  const often = setInterval(async () => {
    if (isBusy) return;
    isBusy = true;
    await run('signing_keys', rotateKeys);
    await run('retired_keys', () => store.signingKeys.removeRetired());
    await run('changes', () => store.revocationEvents.prune(CHANGES_AT_ONCE));
    await run('traces', eraseTraces);
    await run('grants', () => store.expired.removeGrants(now()));
    for (const table of EXPIRING_TABLES) await run(table, () => sweep(table));
    isBusy = false;
  }, EVERY_MS);
  const seldom = setInterval(() => run('audit_partitions', makePartitions), PARTITIONS_EVERY_MS);
  return () => {
    clearInterval(often);
    clearInterval(seldom);
  };
}
