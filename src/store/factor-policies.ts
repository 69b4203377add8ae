// One row. Sign-ins read it through the function factor_required_at (migrations/0007_factors.sql).
import type { FactorPolicy } from '../domain/factor-policy.ts';
import { type AdminChange, lockAuthority } from './authority.ts';
import { writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';

/** `changedAt` is null for the default. */
export type StoredFactorPolicy = FactorPolicy & { changedAt: Date | null };

export type FactorPolicies = ReturnType<typeof createFactorPolicies>;

export function createFactorPolicies(db: Db, newId: () => string) {
  return {
    get: () => currentPolicy(db),

    /** An equal policy changes nothing: its grace period goes on. */
    async set(policy: FactorPolicy, change: AdminChange<[before: FactorPolicy]>): Promise<void> {
      const { actor, at, decide, effects } = change;
      await db.transaction().execute(async (trx) => {
        // Excludes the deletion of a role.
        decide(await lockAuthority(trx, actor, { lock: 'exclusive', at }));
        const { changedAt: _, ...before } = await currentPolicy(trx);
        const { scope, roles, graceSeconds } = policy;
        if (JSON.stringify(before) === JSON.stringify({ scope, roles, graceSeconds })) return;
        await trx
          .updateTable('factor_policy')
          .set({ scope, roles, grace_seconds: graceSeconds, changed_at: at })
          .execute();
        await writeEffects(trx, newId, { at, effects: effects(before) });
      });
    },
  };
}

async function currentPolicy(db: Db): Promise<StoredFactorPolicy> {
  return db
    .selectFrom('factor_policy')
    .select(['scope', 'roles', 'grace_seconds as graceSeconds', 'changed_at as changedAt'])
    .executeTakeFirstOrThrow();
}
