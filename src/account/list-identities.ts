import type { Deps } from '../deps.ts';
import type { Call } from '../domain/call.ts';
import type { UserCaller } from '../domain/principal.ts';
import type { Identity } from '../store/identities.ts';

export function listIdentities(
  { store }: Pick<Deps, 'store'>,
  { userId }: UserCaller,
  { signal }: Call,
): Promise<Identity[]> {
  return store.identities.ofUser(userId, signal);
}
