import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { parseFullName } from '../domain/full-name.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import type { NewIdentity, UsedIdentity } from '../store/identities.ts';
import type { Credentials } from '../store/users.ts';
import { refuseOAuth, type TakenOAuth } from './take-oauth-response.ts';
import { spend } from './throttle.ts';

/** `isNew`: its account was opened by this. */
export type SignedInIdentity = UsedIdentity & { isNew: boolean };

/**
 * An identity that nobody has: of a new account, or of the one whose address both sides have verified and that has no password.
 * @throws AuthError PROVIDER_EMAIL_UNVERIFIED, ACCOUNT_NOT_LINKED, TOO_MANY_IDENTITIES or USER_DISABLED
 */
export async function firstSignIn(
  deps: Pick<Deps, 'store' | 'limiter' | 'purposeKeys' | 'now' | 'newId'>,
  { provider, identity: { issuer, subject, verifiedEmail, name } }: TakenOAuth,
  call: Call,
): Promise<SignedInIdentity> {
  const email = verifiedEmail === null ? null : asEmail(verifiedEmail);
  if (email === null) return refuseOAuth(deps, { provider, reason: 'PROVIDER_EMAIL_UNVERIFIED' }, call);
  const identity = { id: deps.newId(), provider, issuer, subject };
  // Of two first sign-ins at once one makes the account or the link; the other one then finds it.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const other = attempt > 0 && (await deps.store.identities.use(issuer, subject, deps.now()));
    if (other) return { ...other, isNew: false };
    const existing = await deps.store.users.credentialsByEmail(email);
    const found = existing
      ? await linkTo(deps, existing, identity, call)
      : await openAccount(deps, email, asName(name, email), identity, call);
    if (found) return found;
  }
  const account = accountHash(email, deps.purposeKeys.accountHash);
  return refuseOAuth(deps, { provider, reason: 'ACCOUNT_NOT_LINKED', whose: { account } }, call);
}

/** Null when the identity, or the account, is not any more as it was. */
async function linkTo(
  deps: Pick<Deps, 'store' | 'purposeKeys' | 'now'>,
  { user, passwordHash, passwordEpoch }: Credentials,
  identity: NewIdentity,
  call: Call,
): Promise<SignedInIdentity | null> {
  const { provider } = identity;
  const { id: userId, email } = user;
  const whose = { userId, account: accountHash(email, deps.purposeKeys.accountHash) };
  if (user.disabled) return refuseOAuth(deps, { provider, reason: 'USER_DISABLED', whose }, call);
  // Whoever opened it may know its password, and the click that verified it may have been another person's.
  if (!user.emailVerified || passwordHash !== null) {
    return refuseOAuth(deps, { provider, reason: 'ACCOUNT_NOT_LINKED', whose }, call);
  }
  const linked = await deps.store.identities.link(
    { id: userId, email, passwordEpoch, isOnlyOfIssuer: true },
    identity,
    deps.now(),
    [
      audit({ type: 'identity_linked', userId, detail: provider, origin: call.origin }),
      mail({ template: 'sign-in-method-added', userId, email, provider }),
    ],
  );
  if (linked === 'many') return refuseOAuth(deps, { provider, reason: 'TOO_MANY_IDENTITIES', whose }, call);
  return linked === 'done' ? { id: identity.id, userId, isNew: false } : null;
}

/** Null when the address or the identity has an account by now. */
async function openAccount(
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
  const isMade = await deps.store.identities.createUser(user, identity, deps.now(), [registered]);
  if (!isMade) return null;
  await spend(deps, [{ limit: 'GLOBAL_SIGN_UPS' }], call);
  return { id: identity.id, userId, isNew: true };
}

/** Null for an address that no account could have. */
function asEmail(text: string): Email | null {
  try {
    return parseEmail(text);
  } catch (error) {
    if (error instanceof InvalidValue) return null;
    throw error;
  }
}

/** What the provider calls them, or what stands before the @, if either is a name. */
function asName(name: string, email: Email): string {
  for (const text of [name, email.slice(0, email.indexOf('@'))]) {
    try {
      return parseFullName(text);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
    }
  }
  return email;
}
