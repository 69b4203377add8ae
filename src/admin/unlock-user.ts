import { isIP } from 'node:net';
import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { networkOf } from '../domain/networks.ts';
import { InvalidValue, parseFields } from '../domain/parse-fields.ts';
import { parseUuid } from '../domain/uuid.ts';
import type { CountedLimit } from '../limits/counted-limits.ts';
import { assertMayAdminister } from './authorize-admin.ts';
import { type CountedAccountDeps, countedAccountOf } from './counted-account.ts';

export type UnlockUserInput = { actor: Actor; userId: string; reason: string; address: string };

/**
 * Clears the counts of every network, or of one address and the account. Every process counts in Redis, so all obey.
 * @returns the names of the limits that had a count
 * @throws AuthError USER_NOT_FOUND, GRANT_NOT_ALLOWED, or DEPENDENCY_UNAVAILABLE without Redis
 */
export async function unlockUser(
  deps: CountedAccountDeps & Pick<Deps, 'countedLimits'>,
  input: UnlockUserInput,
  { origin, signal }: Call,
): Promise<string[]> {
  const { store, countedLimits, purposeKeys, now } = deps;
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
  const counted = (await countedLimits.ofAccount(await countedAccountOf(deps, user))).filter(isOf(address));
  const names = [...new Set(counted.map(({ limit }) => limit))];
  const event = audit({
    type: 'user_unlocked',
    actor: actorName(actor),
    userId,
    account: accountHash(user.email, purposeKeys.accountHash),
    detail: reason,
    origin,
    before: { counted: names },
    after: { counted: [] },
  });
  const found = await store.userRecords.recordAction(userId, {
    actor,
    at: now(),
    decide: assertMayAdminister,
    effects: () => [event],
  });
  if (!found) throw new AuthError('USER_NOT_FOUND');
  // After the commit, because Redis is not part of the transaction. A repeated call clears what a failure has left.
  await countedLimits.clear(counted);
  return names;
}

/** @param address empty for every network */
function isOf(address: string): (counted: CountedLimit) => boolean {
  const suffix = address === '' ? '' : `:${networkOf(address)}`;
  return ({ limit, key }) => limit !== 'LOGIN_PAIR' || key.endsWith(suffix);
}

function parseAddress(text: string): string {
  if (text !== '' && isIP(text) === 0) throw new InvalidValue('must be empty or an IP address');
  return text;
}
