import type { Deps } from '../deps.ts';
import { accountHashes, mailboxHash } from '../domain/account-hash.ts';
import type { Email } from '../domain/email.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import type { CountedAccount } from '../limits/limit-buckets.ts';

export type CountedAccountDeps = Pick<Deps, 'store' | 'purposeKeys' | 'now'>;

/** Every key under which the attempts of a user, or at the user's account, are counted. */
export async function countedAccountOf(
  { store, purposeKeys, now }: CountedAccountDeps,
  { id, email }: { id: string; email: Email },
): Promise<CountedAccount> {
  const [sessions, credentials] = await Promise.all([
    store.sessions.ofUser(id, now()),
    store.users.credentialsById(id),
  ]);
  return {
    ...addressCounts(email, purposeKeys.accountHash),
    userId: id,
    passwordEpoch: credentials?.passwordEpoch ?? null,
    sessionIds: sessions.map((one) => one.id),
  };
}

/** The address can lack an account. */
export function addressCounts(email: Email, keys: KeyRing): CountedAccount {
  const mailboxes = keys.map((key) => mailboxHash(email, [key]));
  return { accounts: accountHashes(email, keys), mailboxes, userId: '', passwordEpoch: null, sessionIds: [] };
}
