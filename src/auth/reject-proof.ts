import type { Deps } from '../deps.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect } from '../domain/effect.ts';
import type { ProofKind } from '../domain/factor.ts';
import { noteForLog } from '../process/log-context.ts';

export type ProofSubject = { userId: string | null; sessionId: string | null; kind: ProofKind };

/** The cause is for the audit trail and the log only. @param effects to write with it @throws AuthError FACTOR_INVALID */
export async function rejectProof(
  { store, now }: Pick<Deps, 'store' | 'now'>,
  { userId, sessionId, kind }: ProofSubject,
  cause: string,
  { origin }: Call,
  effects: Effect[] = [],
): Promise<never> {
  const subject = { ...(userId !== null && { userId }), ...(sessionId !== null && { sessionId }) };
  const detail = `${kind}: ${cause}`;
  noteForLog({ reason_detail: detail, ...(userId !== null && { user_id: userId }) });
  await store.outbox.write(now(), [audit({ type: 'factor_failed', detail, ...subject, origin }), ...effects]);
  throw new AuthError('FACTOR_INVALID');
}
