import type { Deps } from '../deps.ts';
import { type Actor, actorName } from '../domain/actor.ts';
import { parseReason } from '../domain/admin-reason.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { networkOf } from '../domain/networks.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { CountedLimit } from '../limits/counted-limits.ts';
import type { CountedAccount } from '../limits/limit-buckets.ts';

export type LimitSubject = { account: CountedAccount } | { address: string };

export type ResetLimitsInput = { actor: Actor; reason: string; subject: LimitSubject };

/** For operators, who need no role. @returns the cleared counts @throws LimitsUnavailable */
export async function resetLimits(
  { store, countedLimits, now }: Pick<Deps, 'store' | 'countedLimits' | 'now'>,
  { actor, subject, ...input }: ResetLimitsInput,
  { origin }: Call,
): Promise<CountedLimit[]> {
  const { reason } = parseFields({ reason: () => parseReason(input.reason) });
  const counted = await countsOf(countedLimits, subject);
  const names = [...new Set(counted.map(({ limit }) => limit))];
  const about =
    'address' in subject
      ? { target: `network:${networkOf(subject.address)}` }
      : { account: subject.account.accounts[0] as string, ...userOf(subject.account) };
  const change = { before: { counted: names }, after: { counted: [] } };
  const event = audit({ type: 'limits_reset', actor: actorName(actor), detail: reason, origin, ...about, ...change });
  await store.outbox.write(now(), [event]);
  await countedLimits.clear(counted);
  return counted;
}

export function countsOf(countedLimits: Deps['countedLimits'], subject: LimitSubject): Promise<CountedLimit[]> {
  return 'address' in subject ? countedLimits.ofNetwork(subject.address) : countedLimits.ofAccount(subject.account);
}

function userOf({ userId }: CountedAccount) {
  return userId === '' ? {} : { userId };
}
