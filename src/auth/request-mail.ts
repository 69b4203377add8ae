import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import type { AuditType } from '../domain/audit-event-types.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { parseEmail } from '../domain/email.ts';
import type { MailOrder } from '../domain/mail-order.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { NetworkLimit } from '../limits/limits.ts';
import { enforceLimits } from './enforce-limits.ts';
import { MAILS, type MailboxLimit, mailAttempts } from './mail-attempts.ts';

export type RequestMailInput = { email: string };
export type RequestMailDeps = Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now'>;

type Requested = {
  template: Extract<MailOrder, { template: 'password-reset' | 'verify-email' }>['template'];
  auditAs: AuditType;
  mailboxLimit: MailboxLimit;
  networkLimit: NetworkLimit;
};

/** Does the same for every address, so that the response does not show whether it has an account. */
export async function requestMail(
  deps: RequestMailDeps,
  { template, auditAs, mailboxLimit, networkLimit }: Requested,
  input: RequestMailInput,
  call: Call,
): Promise<void> {
  const { email } = parseFields({ email: () => parseEmail(input.email) });
  const account = accountHash(email, deps.purposeKeys.accountHash);
  const attempts = mailAttempts(mailboxLimit, email, deps.purposeKeys, call);
  await enforceLimits(deps, { attempts: [...attempts, { limit: networkLimit, budgets: [MAILS] }], account }, call);
  await deps.store.outbox.write(deps.now(), [
    audit({ type: auditAs, account, origin: call.origin }),
    mail({ template, email }),
  ]);
}
