// Each attempt to send a mail has a number: a worker that has lost its claim changes nothing.
import { sql } from 'kysely';
import type { AuditEvent } from '../domain/audit-event.ts';
import { audit } from '../domain/effect.ts';
import type { MailOrder } from '../domain/mail-order.ts';
import { inMs, shortened, writeEffects } from './outbox.ts';
import type { Db } from './postgres/database.ts';

export type ClaimedMail = { id: string; attempt: number; order: MailOrder; createdAt: Date };
export type Claim = Pick<ClaimedMail, 'id' | 'attempt'>;

export type MailOrders = ReturnType<typeof createMailOrders>;

export function createMailOrders(db: Db, newId: () => string) {
  const own = (trx: Db, { id, attempt }: Claim) =>
    trx.updateTable('outbox').where('id', '=', id).where('attempts', '=', attempt).where('dead_at', 'is', null);

  return {
    /** Null when the mail was sent or given up, or another worker has claimed it. */
    async claim(id: string, holdMs: number): Promise<ClaimedMail | null> {
      const until = inMs(holdMs);
      const row = await db
        .updateTable('outbox')
        .set((eb) => ({
          attempts: eb('attempts', '+', 1),
          first_attempt_at: sql<Date>`coalesce(first_attempt_at, now())`,
          claimed_until: until,
          next_attempt_at: until,
        }))
        .where('id', '=', id)
        .where('topic', '=', 'mail')
        .where('dead_at', 'is', null)
        .where((eb) => eb.or([eb('claimed_until', 'is', null), eb('claimed_until', '<', sql<Date>`now()`)]))
        .returning(['attempts', 'payload', 'created_at'])
        .executeTakeFirst();
      return row ? { id, attempt: row.attempts, order: row.payload as MailOrder, createdAt: row.created_at } : null;
    },

    /** Does nothing when the attempt has ended. */
    async renew(claim: Claim, holdMs: number): Promise<void> {
      const until = inMs(holdMs);
      await own(db, claim)
        .set({ claimed_until: until, next_attempt_at: until })
        .where('claimed_until', 'is not', null)
        .execute();
    },

    /** The mail is due at once. */
    async release(claim: Claim): Promise<void> {
      await own(db, claim).set({ claimed_until: null, next_attempt_at: sql<Date>`now()` }).execute();
    },

    /** @param event null when there was nothing to send */
    async finish({ id }: Claim, at: Date, event: AuditEvent | null): Promise<void> {
      await db.transaction().execute(async (trx) => {
        const { numDeletedRows } = await trx.deleteFrom('outbox').where('id', '=', id).executeTakeFirst();
        if (event !== null && numDeletedRows > 0n) await writeEffects(trx, newId, { at, effects: [audit(event)] });
      });
    },

    /**
     * Gives the mail up, and writes the event, when `retryForMs` have passed since the first attempt. Returns whether
     * it did.
     */
    async postpone(
      claim: Claim,
      { error, waitMs, retryForMs }: { error: string; waitMs: number; retryForMs: number },
      { at, event }: { at: Date; event: AuditEvent },
    ): Promise<boolean> {
      return db.transaction().execute(async (trx) => {
        const row = await own(trx, claim)
          .set({
            claimed_until: null,
            last_error: shortened(error),
            next_attempt_at: inMs(waitMs),
            dead_at: sql<Date>`CASE WHEN first_attempt_at <= ${inMs(-retryForMs)} THEN now() END`,
          })
          .returning('dead_at')
          .executeTakeFirst();
        const isGivenUp = row !== undefined && row.dead_at !== null;
        if (isGivenUp) await writeEffects(trx, newId, { at, effects: [audit(event)] });
        return isGivenUp;
      });
    },

    async giveUp(claim: Claim, error: string, { at, event }: { at: Date; event: AuditEvent }): Promise<void> {
      await db.transaction().execute(async (trx) => {
        const { numUpdatedRows } = await own(trx, claim)
          .set({ claimed_until: null, last_error: shortened(error), dead_at: sql<Date>`now()` })
          .executeTakeFirst();
        if (numUpdatedRows > 0n) await writeEffects(trx, newId, { at, effects: [audit(event)] });
      });
    },
  };
}
