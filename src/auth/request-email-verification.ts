import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { parseEmail } from '../domain/email.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { networkOf } from '../limits/network-of.ts';
import { throttle } from './throttle.ts';

export type RequestEmailVerificationInput = { email: string };

/** As with a reset, only the worker will look whether there is such an account. */
export async function requestEmailVerification(
  deps: Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now'>,
  input: RequestEmailVerificationInput,
  call: Call,
): Promise<void> {
  const { email } = parseFields({ email: () => parseEmail(input.email) });
  const account = accountHash(email, deps.purposeKeys.accountHash);
  await throttle(
    deps,
    [
      { limit: 'REQUEST_VERIFICATION_ACCOUNT', key: account },
      { limit: 'REQUEST_VERIFICATION_NETWORK', key: networkOf(call.origin.address) },
    ],
    { account },
    call,
  );
  await deps.store.outbox.write(deps.now(), [
    audit({ type: 'verification_requested', account, origin: call.origin }),
    mail({ template: 'verify-email', email }),
  ]);
}
