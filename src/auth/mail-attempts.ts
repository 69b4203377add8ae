import { mailboxHash } from '../domain/account-hash.ts';
import type { Call } from '../domain/call.ts';
import { domainOf, type Email } from '../domain/email.ts';
import { widestNetworkOf } from '../domain/networks.ts';
import type { PurposeKeys } from '../keys/purpose-keys.ts';
import type { LimitName } from '../limits/limits.ts';
import type { Attempt, Budget } from './enforce-limits.ts';

export type MailboxLimit = Extract<LimitName, 'REGISTER_ACCOUNT' | `REQUEST_${string}_ACCOUNT`>;

export const MAILS: Budget = { limit: 'GLOBAL_MAILS' };

export function mailAttempts(
  limit: MailboxLimit,
  email: Email,
  { accountHash: keys }: Pick<PurposeKeys, 'accountHash'>,
  { origin }: Call,
): Attempt[] {
  const domain = domainOf(email);
  return [
    { limit, key: mailboxHash(email, keys) },
    {
      limit: 'MAIL_DOMAIN',
      key: `${domain}:${widestNetworkOf(origin.address)}`,
      budgets: [MAILS, { limit: 'GLOBAL_MAIL_DOMAIN', key: domain }],
    },
  ];
}
