import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { Factor } from '../domain/factor.ts';
import type { UserCaller } from '../domain/principal.ts';

export type ListedFactors = { factors: Factor[]; recoveryCodesLeft: number };

/** The oldest first. */
export async function listFactors(
  { store }: Pick<Deps, 'store'>,
  { userId }: UserCaller,
  { signal }: Call,
): Promise<ListedFactors> {
  const factors = await store.factors.ofUser(userId, signal);
  return { factors, recoveryCodesLeft: await store.factors.recoveryCodesLeft(userId) };
}
