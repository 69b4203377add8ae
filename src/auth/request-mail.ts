import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import type { Call } from '../domain/call.ts';
import { type AuditType, audit, type MailOrder, mail } from '../domain/effect.ts';
import { parseEmail } from '../domain/email.ts';
import { networkOf } from '../domain/networks.ts';
import { parseFields } from '../domain/parse-fields.ts';
import type { LimitName } from '../limits/limits.ts';
import { throttle } from './throttle.ts';

export type RequestMailInput = { email: string };
export type RequestMailDeps = Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now'>;

type Requested = {
  template: Extract<MailOrder, { template: 'password-reset' | 'verify-email' }>['template'];
  auditAs: AuditType;
  accountLimit: LimitName;
  networkLimit: LimitName;
};

/** Does the same whoever asks: whether there is such an account, only the worker will look. */
export async function requestMail(
  deps: RequestMailDeps,
  { template, auditAs, accountLimit, networkLimit }: Requested,
  input: RequestMailInput,
  call: Call,
): Promise<void> {
  const { email } = parseFields({ email: () => parseEmail(input.email) });
  const account = accountHash(email, deps.purposeKeys.accountHash);
  const attempts = [
    { limit: accountLimit, key: account },
    { limit: networkLimit, key: networkOf(call.origin.address) },
  ];
  await throttle(deps, attempts, { account }, call);
  await deps.store.outbox.write(deps.now(), [
    audit({ type: auditAs, account, origin: call.origin }),
    mail({ template, email }),
  ]);
}
