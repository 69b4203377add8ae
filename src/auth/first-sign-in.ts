import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { parseFullName } from '../domain/full-name.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import type { NewIdentity, UsedIdentity } from '../store/identities.ts';
import type { Credentials } from '../store/users.ts';
import { spendBudgets } from './enforce-limits.ts';
import { type ProvenIdentity, rejectOAuth } from './redeem-oauth-response.ts';

export type SignedInIdentity = UsedIdentity & { isNew: boolean };

/**
 * Links the identity to the account without a password whose address both sides have verified, or creates an account.
 * @throws AuthError PROVIDER_EMAIL_UNVERIFIED, ACCOUNT_NOT_LINKED, TOO_MANY_IDENTITIES or USER_DISABLED
 */
export async function firstSignIn(
  deps: Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now' | 'newId'>,
  { provider, identity: { issuer, subject, verifiedEmail, name } }: ProvenIdentity,
  call: Call,
): Promise<SignedInIdentity> {
  const email = verifiedEmail === null ? null : emailOrNull(verifiedEmail);
  if (email === null) return rejectOAuth(deps, { provider, reason: 'PROVIDER_EMAIL_UNVERIFIED' }, call);
  const identity = { id: deps.newId(), provider, issuer, subject };
  // When two first sign-ins run at once, one creates the account or the link, and the other finds it afterwards.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const other = attempt > 0 && (await deps.store.identities.use(issuer, subject, deps.now()));
    if (other) return { ...other, isNew: false };
    const existing = await deps.store.users.credentialsByEmail(email);
    const found = existing
      ? await linkToAccount(deps, existing, identity, call)
      : await createAccount(deps, email, fullNameOf(name, email), identity, call);
    if (found) return found;
  }
  const account = accountHash(email, deps.purposeKeys.accountHash);
  return rejectOAuth(deps, { provider, reason: 'ACCOUNT_NOT_LINKED', subject: { account } }, call);
}

/** Null when the identity or the account has changed since it was read. */
async function linkToAccount(
  deps: Pick<Deps, 'store' | 'purposeKeys' | 'now'>,
  { user, passwordHash, passwordEpoch }: Credentials,
  identity: NewIdentity,
  call: Call,
): Promise<SignedInIdentity | null> {
  const { provider } = identity;
  const { id: userId, email } = user;
  const subject = { userId, account: accountHash(email, deps.purposeKeys.accountHash) };
  if (user.disabled) return rejectOAuth(deps, { provider, reason: 'USER_DISABLED', subject }, call);
  // The person who opened the account may know its password, and the owner of the address may have verified it by mistake.
  if (!user.emailVerified || passwordHash !== null) {
    return rejectOAuth(deps, { provider, reason: 'ACCOUNT_NOT_LINKED', subject }, call);
  }
  const linked = await deps.store.identities.link(
    { id: userId, email, passwordEpoch, isOnlyOfIssuer: true },
    identity,
    {
      at: deps.now(),
      effects: [
        audit({ type: 'identity_linked', userId, detail: provider, origin: call.origin }),
        mail({ template: 'sign-in-method-added', userId, email, provider }),
      ],
    },
  );
  if (linked === 'many') return rejectOAuth(deps, { provider, reason: 'TOO_MANY_IDENTITIES', subject }, call);
  return linked === 'done' ? { id: identity.id, userId, isNew: false } : null;
}

/** Null when the address or the identity has an account meanwhile. */
async function createAccount(
  deps: Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now' | 'newId'>,
  email: Email,
  fullName: string,
  identity: NewIdentity,
  call: Call,
): Promise<SignedInIdentity | null> {
  const userId = deps.newId();
  const account = accountHash(email, deps.purposeKeys.accountHash);
  const registered = audit({ type: 'registered', userId, account, detail: identity.provider, origin: call.origin });
  const user = { id: userId, email, fullName };
  const isCreated = await deps.store.identities.createUser(user, identity, { at: deps.now(), effects: [registered] });
  if (!isCreated) return null;
  await spendBudgets(deps, [{ limit: 'GLOBAL_SIGN_UPS' }], call);
  return { id: identity.id, userId, isNew: true };
}

function emailOrNull(text: string): Email | null {
  try {
    return parseEmail(text);
  } catch (error) {
    if (error instanceof InvalidValue) return null;
    throw error;
  }
}

function fullNameOf(name: string, email: Email): string {
  for (const text of [name, email.slice(0, email.indexOf('@'))]) {
    try {
      return parseFullName(text);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
    }
  }
  return email;
}
