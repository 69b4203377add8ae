import type { Deps } from '../deps.ts';
import { accountHash, mailboxHash } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { parseFullName } from '../domain/full-name.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { parseNewPassword } from '../domain/password.ts';
import { registrationBinding } from '../domain/registration-binding.ts';
import type { User } from '../domain/user.ts';
import { noteForLog } from '../process/log-context.ts';
import { type Attempt, type Budget, enforceLimits } from './enforce-limits.ts';
import { MAILS, mailAttempts } from './mail-attempts.ts';
import { rejectBreached } from './reject-breached.ts';

export type RegisterInput = { email: string; password: string; fullName: string };

/** VerifyEmail accepts the binding as proof that the same browser opened the account. */
export type Registered = { user: User | null; binding: string };

/**
 * Where addresses must be verified, new and taken addresses get a binding and no user. The binding of a taken address
 * proves nothing, and the e-mail informs the owner.
 * @throws AuthError EMAIL_TAKEN where addresses need not be verified
 */
export async function register(
  deps: Pick<
    Deps,
    | 'store'
    | 'limiter'
    | 'hasher'
    | 'passwordPolicy'
    | 'isBreached'
    | 'purposeKeys'
    | 'requiresVerifiedEmail'
    | 'now'
    | 'newId'
  >,
  input: RegisterInput,
  call: Call,
): Promise<Registered> {
  const { origin, signal } = call;
  const { requiresVerifiedEmail, store } = deps;
  const { email, password, full_name } = parseFields({
    email: () => parseEmail(input.email),
    password: () => parseNewPassword(input.password, deps.passwordPolicy, [input.email, input.fullName]),
    full_name: () => parseFullName(input.fullName),
  });
  const account = accountHash(email, deps.purposeKeys.accountHash);
  await enforceLimits(deps, { attempts: registerAttempts(deps, email, call), account }, call);

  await rejectBreached(deps, 'password', password);
  const passwordHash = await deps.hasher.hash(password, signal);
  const id = deps.newId();
  const created = [audit({ type: 'registered', userId: id, account, origin })];
  const taken = [audit({ type: 'register_refused', account, detail: 'email taken', origin })];
  if (requiresVerifiedEmail) {
    created.push(mail({ template: 'verify-email', email }));
    taken.push(mail({ template: 'email-taken', email }));
  }
  const user = await store.users.create(
    { id, email, fullName: full_name, passwordHash },
    { at: deps.now(), effects: { created, taken } },
  );
  if (user) noteForLog({ user_id: id });
  const binding = registrationBinding(id, deps.purposeKeys.registrations);
  if (requiresVerifiedEmail) return { user: null, binding };
  if (!user) throw new AuthError('EMAIL_TAKEN');
  return { user, binding };
}

function registerAttempts(
  { purposeKeys, requiresVerifiedEmail }: Pick<Deps, 'purposeKeys' | 'requiresVerifiedEmail'>,
  email: Email,
  call: Call,
): Attempt[] {
  const signUps: Budget = { limit: 'GLOBAL_SIGN_UPS' };
  if (!requiresVerifiedEmail) {
    return [
      { limit: 'REGISTER_NETWORK', budgets: [signUps] },
      { limit: 'REGISTER_ACCOUNT', key: mailboxHash(email, purposeKeys.accountHash) },
    ];
  }
  return [
    { limit: 'REGISTER_NETWORK', budgets: [signUps, MAILS] },
    ...mailAttempts('REGISTER_ACCOUNT', email, purposeKeys, call),
  ];
}
