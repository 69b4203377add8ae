import { isIP } from 'node:net';
import type { Deps } from '../deps.ts';
import { accountHash, mailboxHash } from '../domain/account-hash.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { networkOf } from '../domain/networks.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseReason } from '../domain/reason.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { LimitName } from '../limits/limits.ts';
import { assertMayAdminister } from './may.ts';

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
  assertMayAdminister(await store.roles.judged(actor, now()), user.roles);
  const counts = purposeKeys.accountHash.flatMap((key): Count[] => {
    const [hash, mailbox] = [accountHash(user.email, [key]), mailboxHash(user.email, [key])];
    return [
      ['LOGIN_ACCOUNT', hash],
      ['REQUEST_RESET_ACCOUNT', mailbox],
      ['REQUEST_VERIFICATION_ACCOUNT', mailbox],
      ['NOTICE_ACCOUNT', mailbox],
      ...(address === '' ? [] : [['LOGIN_PAIR', `${hash}:${networkOf(address)}`] satisfies Count]),
    ];
  });
  counts.push(['CHANGE_PASSWORD_USER', userId], ['CHANGE_EMAIL_USER', userId], ['ACCOUNT_CHANGE_USER', userId]);
  const cleared = await Promise.all(
    counts.map(async ([limit, key]) => ((await limiter.clear(limit, key)) ? [limit] : [])),
  );
  await store.outbox.write(now(), [
    audit({
      type: 'user_unlocked',
      actor: actorName(actor),
      userId,
      account: accountHash(user.email, purposeKeys.accountHash),
      detail: reason,
      origin,
      before: { counted: cleared.flat() },
      after: { counted: [] },
    }),
  ]);
}

type Count = [limit: LimitName, key: string];

function parseAddress(text: string): string {
  if (text !== '' && isIP(text) === 0) throw new InvalidValue('must be empty or an IP address');
  return text;
}
