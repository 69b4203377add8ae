import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { parseFullName } from '../domain/full-name.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { User } from '../domain/user.ts';
import type { UsedIdentity } from '../store/identities.ts';
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
 * @throws AuthError as takeOAuthResponse; PROVIDER_EMAIL_UNVERIFIED or ACCOUNT_NOT_LINKED for a first sign-in; USER_DISABLED
 */
export async function finishOAuth(deps: FinishDeps, input: OAuthResponse, call: Call): Promise<SignedInByOAuth> {
  const taken = await takeOAuthResponse(deps, input, null, call);
  const { provider, identity } = taken;
  const known = await deps.store.identities.use(identity.issuer, identity.subject, deps.now());
  const { id: identityId, userId, isNew } = known ? { ...known, isNew: false } : await firstSignIn(deps, taken, call);
  const refuse = () => refuseOAuth(deps, { provider, reason: 'USER_DISABLED', whose: { userId } }, call);
  const credentials = await deps.store.users.credentialsById(userId, call.signal);
  if (!credentials || credentials.user.disabled) return refuse();
  const account = accountHash(credentials.user.email, deps.purposeKeys.accountHash);
  const grant = await openSession(deps, credentials, account, identityId, call);
  if (!grant) return refuse();
  return { tokens: await issueTokens(deps, grant), user: credentials.user, isNew };
}

/** An identity that nobody has: of a new account, or of the one whose address both sides have verified and that has no password. */
async function firstSignIn(
  deps: Pick<Deps, 'store' | 'purposeKeys' | 'now' | 'newId'>,
  { provider, identity: { issuer, subject, verifiedEmail, name } }: TakenOAuth,
  call: Call,
): Promise<Found> {
  const { origin } = call;
  const email = verifiedEmail === null ? null : asEmail(verifiedEmail);
  if (email === null) return refuseOAuth(deps, { provider, reason: 'PROVIDER_EMAIL_UNVERIFIED' }, call);
  const account = accountHash(email, deps.purposeKeys.accountHash);
  const id = deps.newId();
  const identity = { id, provider, issuer, subject };
  const existing = await deps.store.users.credentialsByEmail(email);
  if (existing) {
    const userId = existing.user.id;
    const refuse = () =>
      refuseOAuth(deps, { provider, reason: 'ACCOUNT_NOT_LINKED', whose: { userId, account } }, call);
    // Whoever opened it may know its password, and the click that verified it may have been another person's.
    if (!existing.user.emailVerified || existing.passwordHash !== null) return refuse();
    const user = { id: userId, email, passwordEpoch: existing.passwordEpoch };
    const linked = await deps.store.identities.link(user, identity, true, deps.now(), [
      audit({ type: 'identity_linked', userId, detail: provider, origin }),
      mail({ template: 'sign-in-method-added', userId, provider }),
    ]);
    if (linked === 'done') return { id, userId, isNew: false };
    // Two first sign-ins at once: the other one has linked it.
    const other = linked === 'taken' ? await deps.store.identities.use(issuer, subject, deps.now()) : null;
    return other?.userId === userId ? { ...other, isNew: false } : refuse();
  }
  const userId = deps.newId();
  const isMade = await deps.store.identities.createUser(
    { id: userId, email, fullName: asName(name, email) },
    identity,
    deps.now(),
    [audit({ type: 'registered', userId, account, detail: provider, origin })],
  );
  if (isMade) return { id, userId, isNew: true };
  // Two first sign-ins at once: the other one has made it.
  const other = await deps.store.identities.use(issuer, subject, deps.now());
  if (!other) return refuseOAuth(deps, { provider, reason: 'ACCOUNT_NOT_LINKED', whose: { account } }, call);
  return { ...other, isNew: false };
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

/** What the provider calls them, if that is a name, or what stands before the @. */
function asName(name: string, email: Email): string {
  try {
    return parseFullName(name);
  } catch (error) {
    if (error instanceof InvalidValue) return email.slice(0, email.indexOf('@'));
    throw error;
  }
}
