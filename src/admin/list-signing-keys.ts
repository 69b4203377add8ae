import type { Deps } from '../deps.ts';
import type { SigningKeyRecord } from '../domain/key-schedule.ts';

export function listSigningKeys({ store }: Pick<Deps, 'store'>): Promise<SigningKeyRecord[]> {
  return store.signingKeys.list();
}
