import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { parseFullName } from '../domain/full-name.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { User } from '../domain/user.ts';
import type { NewIdentity, UsedIdentity } from '../store/identities.ts';
import type { Credentials } from '../store/users.ts';
import { issueTokens } from './issue-tokens.ts';
import { openSession } from './open-session.ts';
import { type OAuthResponse, refuseOAuth, type TakenOAuth, takeOAuthResponse } from './take-oauth-response.ts';

export type SignedInByOAuth = { tokens: Tokens; user: User; isNew: boolean };

type FinishDeps = Pick<
  Deps,
  'store' | 'limiter' | 'providers' | 'signingKeys' | 'verifier' | 'purposeKeys' | 'tokenSettings' | 'now' | 'newId'
>;

type Found = UsedIdentity & { isNew: boolean };

/**
 * @throws AuthError as takeOAuthResponse; PROVIDER_EMAIL_UNVERIFIED, ACCOUNT_NOT_LINKED or TOO_MANY_IDENTITIES for a first sign-in;
 *   USER_DISABLED
 */
export async function finishOAuth(deps: FinishDeps, input: OAuthResponse, call: Call): Promise<SignedInByOAuth> {
  const taken = await takeOAuthResponse(deps, input, null, call);
  const { provider, identity } = taken;
  const known = await deps.store.identities.use(identity.issuer, identity.subject, deps.now());
  const found = known ? { ...known, isNew: false } : await firstSignIn(deps, taken, call);
  const { id: identityId, userId, isNew } = found;
  // Once more when the password, the address or the identity has changed meanwhile.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const credentials = await deps.store.users.credentialsById(userId, call.signal);
    if (!credentials) break;
    if (credentials.user.disabled) {
      return refuseOAuth(deps, { provider, reason: 'USER_DISABLED', whose: { userId } }, call);
    }
    const account = accountHash(credentials.user.email, deps.purposeKeys.accountHash);
    const grant = await openSession(deps, credentials, account, identityId, call);
    if (grant) return { tokens: await issueTokens(deps, grant), user: credentials.user, isNew };
  }
  return refuseOAuth(deps, { provider, reason: 'OAUTH_STATE_INVALID', whose: { userId } }, call);
}

/** An identity that nobody has: of a new account, or of the one whose address both sides have verified and that has no password. */
async function firstSignIn(
  deps: Pick<Deps, 'store' | 'purposeKeys' | 'now' | 'newId'>,
  { provider, identity: { issuer, subject, verifiedEmail, name } }: TakenOAuth,
  call: Call,
): Promise<Found> {
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
): Promise<Found | null> {
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
  deps: Pick<Deps, 'store' | 'purposeKeys' | 'now' | 'newId'>,
  email: Email,
  fullName: string,
  identity: NewIdentity,
  { origin }: Call,
): Promise<Found | null> {
  const userId = deps.newId();
  const account = accountHash(email, deps.purposeKeys.accountHash);
  const registered = audit({ type: 'registered', userId, account, detail: identity.provider, origin });
  const user = { id: userId, email, fullName };
  const isMade = await deps.store.identities.createUser(user, identity, deps.now(), [registered]);
  return isMade ? { id: identity.id, userId, isNew: true } : null;
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
