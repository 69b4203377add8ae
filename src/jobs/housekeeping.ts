// What keeps tables from growing for ever, partitions ahead of time and signing keys young: small pieces of work, again and
// again, by every worker.
import type { Logger } from 'pino';
import { EXPIRING_TABLES, type ExpiringTable } from '../store/expired.ts';
import type { Store } from '../store/store.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export type HousekeepingDeps = {
  store: Pick<Store, 'auditTrail' | 'revocationEvents' | 'expired' | 'signingKeys' | 'users'>;
  /** Changes which keys sign, when its time has come. Returns how many have changed. */
  rotateKeys: () => Promise<number>;
  metrics: Pick<Metrics, 'houseKept'>;
  now: () => Date;
};

const EVERY_MS = 5_000;
const PARTITIONS_EVERY_MS = 6 * 3600_000;
/** Together more than a server can make. */
const CHANGES_AT_ONCE = 10_000;
const TRACES_AT_ONCE = 10_000;
/** Of each table: a million rows are looked at in less than an hour and a half. */
const PAGE = 1_000;

/** Returns how to stop. @throws when the partitions of the audit trail cannot be made */
export async function startHousekeeping(deps: HousekeepingDeps, log: Logger): Promise<() => void> {
  const { store, rotateKeys, metrics, now } = deps;
  const pages = new Map<ExpiringTable, string | null>();

  /** @param work returns how much it has removed, or of keys how many it has changed */
  async function keep(task: string, work: () => Promise<number>): Promise<void> {
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

  async function forget(): Promise<number> {
    let all = 0;
    for (;;) {
      const erased = await store.users.eraseTraces(TRACES_AT_ONCE);
      if (erased === null) return all;
      all += erased;
    }
  }

  const makePartitions = async () => {
    await store.auditTrail.ensurePartitions();
    return 0;
  };
  await makePartitions();
  // One after the other: there is no hurry, and one connection is enough.
  let isBusy = false;
  const often = setInterval(async () => {
    if (isBusy) return;
    isBusy = true;
    await keep('signing_keys', rotateKeys);
    await keep('retired_keys', () => store.signingKeys.removeRetired());
    await keep('changes', () => store.revocationEvents.prune(CHANGES_AT_ONCE));
    await keep('traces', forget);
    await keep('grants', () => store.expired.removeGrants(now()));
    for (const table of EXPIRING_TABLES) await keep(table, () => sweep(table));
    isBusy = false;
  }, EVERY_MS);
  const seldom = setInterval(() => keep('audit_partitions', makePartitions), PARTITIONS_EVERY_MS);
  return () => {
    clearInterval(often);
    clearInterval(seldom);
  };
}
