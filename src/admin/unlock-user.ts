import { isIP } from 'node:net';
import type { Deps } from '../deps.ts';
import { accountHash, mailboxHash } from '../domain/account-hash.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import { networkOf } from '../domain/networks.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import type { User } from '../domain/user.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { LimitName } from '../limits/limits.ts';
import { assertMayAdminister } from './authorize-admin.ts';

export type UnlockUserInput = { actor: Actor; userId: string; reason: string; address: string };

/** @throws AuthError USER_NOT_FOUND or GRANT_NOT_ALLOWED */
export async function unlockUser(
  { store, limiter, purposeKeys, now }: Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now'>,
  input: UnlockUserInput,
  { origin, signal }: Call,
): Promise<void> {
  const { actor } = input;
  const {
    user_id: userId,
    reason,
    address,
  } = parseFields({
    user_id: () => parseUuid(input.userId),
    reason: () => parseReason(input.reason),
    address: () => parseAddress(input.address),
  });
  const user = await store.users.byId(userId, signal);
  if (!user) throw new AuthError('USER_NOT_FOUND');
  const counts = countsOf(user, address, purposeKeys.accountHash);
  const counted = await Promise.all(
    counts.map(async ([limit, key]) => ((await limiter.isCounted(limit, key)) ? [limit] : [])),
  );
  const event = audit({
    type: 'user_unlocked',
    actor: actorName(actor),
    userId,
    account: accountHash(user.email, purposeKeys.accountHash),
    detail: reason,
    origin,
    before: { counted: counted.flat() },
    after: { counted: [] },
  });
  const found = await store.userRecords.recordAction(userId, {
    actor,
    at: now(),
    decide: assertMayAdminister,
    effects: () => [event],
  });
  if (!found) throw new AuthError('USER_NOT_FOUND');
  // After the commit, because Redis is not part of the transaction.
  await Promise.all(counts.map(([limit, key]) => limiter.clear(limit, key)));
}

function countsOf({ id, email }: User, address: string, keys: KeyRing): Count[] {
  const counts = keys.flatMap((key): Count[] => {
    const [hash, mailbox] = [accountHash(email, [key]), mailboxHash(email, [key])];
    return [
      ['LOGIN_ACCOUNT', hash],
      ['REQUEST_RESET_ACCOUNT', mailbox],
      ['REQUEST_VERIFICATION_ACCOUNT', mailbox],
      ['NOTICE_ACCOUNT', mailbox],
      ['NETWORK_MAIL_ACCOUNT', mailbox],
      ...(address === '' ? [] : [['LOGIN_PAIR', `${hash}:${networkOf(address)}`] satisfies Count]),
    ];
  });
  const limits = ['CHANGE_PASSWORD_USER', 'CHANGE_EMAIL_USER', 'ACCOUNT_CHANGE_USER', 'REFRESH_USER'] as const;
  return [...counts, ...limits.map((limit): Count => [limit, id])];
}

type Count = [limit: LimitName, key: string];

function parseAddress(text: string): string {
  if (text !== '' && isIP(text) === 0) throw new InvalidValue('must be empty or an IP address');
  return text;
}
