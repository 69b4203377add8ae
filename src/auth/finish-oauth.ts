import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, mail } from '../domain/effect.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { parseFullName } from '../domain/full-name.ts';
import { InvalidValue } from '../domain/parse-fields.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { User } from '../domain/user.ts';
import { issueTokens } from './issue-tokens.ts';
import { openSession } from './open-session.ts';
import { type OAuthResponse, type TakenOAuth, takeOAuthResponse } from './take-oauth-response.ts';

export type SignedInByOAuth = { tokens: Tokens; user: User; isNew: boolean };

type FinishDeps = Pick<
  Deps,
  'store' | 'limiter' | 'oauth' | 'signingKeys' | 'verifier' | 'purposeKeys' | 'tokenSettings' | 'now' | 'newId'
>;

/**
 * @throws AuthError as takeOAuthResponse; PROVIDER_EMAIL_UNVERIFIED or ACCOUNT_NOT_LINKED for a first sign-in; USER_DISABLED
 */
export async function finishOAuth(deps: FinishDeps, input: OAuthResponse, call: Call): Promise<SignedInByOAuth> {
  const taken = await takeOAuthResponse(deps, input, null, call);
  const known = await deps.store.identities.use(taken.identity.issuer, taken.identity.subject, deps.now());
  const { userId, isNew } = known ? { userId: known, isNew: false } : await firstSignIn(deps, taken, call);
  const credentials = await deps.store.users.credentialsById(userId, call.signal);
  if (!credentials || credentials.user.disabled) throw new AuthError('USER_DISABLED');
  const account = accountHash(credentials.user.email, deps.purposeKeys.accountHash);
  const grant = await openSession(deps, credentials, account, call);
  if (!grant) throw new AuthError('USER_DISABLED');
  return { tokens: await issueTokens(deps, grant), user: credentials.user, isNew };
}

/** An identity that nobody has: of a new account, or of the one whose address both sides have verified and that has no password. */
async function firstSignIn(
  deps: Pick<Deps, 'store' | 'purposeKeys' | 'now' | 'newId'>,
  { provider, identity: { issuer, subject, verifiedEmail, name } }: TakenOAuth,
  { origin }: Call,
): Promise<{ userId: string; isNew: boolean }> {
  const email = verifiedEmail === null ? null : asEmail(verifiedEmail);
  if (email === null) throw new AuthError('PROVIDER_EMAIL_UNVERIFIED');
  const identity = { id: deps.newId(), provider, issuer, subject };
  const existing = await deps.store.users.credentialsByEmail(email);
  if (existing) {
    // Whoever opened it may know its password, and the click that verified it may have been another person's.
    if (!existing.user.emailVerified || existing.passwordHash !== null) throw new AuthError('ACCOUNT_NOT_LINKED');
    const userId = existing.user.id;
    const user = { id: userId, email, passwordEpoch: existing.passwordEpoch };
    const linked = await deps.store.identities.link(user, identity, true, deps.now(), [
      audit({ type: 'identity_linked', userId, detail: provider, origin }),
      mail({ template: 'sign-in-method-added', userId }),
    ]);
    // Two first sign-ins at once: the other one has linked it.
    const isLinked = linked === 'taken' && (await deps.store.identities.use(issuer, subject, deps.now())) === userId;
    if (linked !== 'done' && !isLinked) throw new AuthError('ACCOUNT_NOT_LINKED');
    return { userId, isNew: false };
  }
  const userId = deps.newId();
  const account = accountHash(email, deps.purposeKeys.accountHash);
  const isMade = await deps.store.identities.createUser(
    { id: userId, email, fullName: asName(name, email) },
    identity,
    deps.now(),
    [audit({ type: 'registered', userId, account, detail: provider, origin })],
  );
  if (isMade) return { userId, isNew: true };
  // Two first sign-ins at once: the other one has made it.
  const other = await deps.store.identities.use(issuer, subject, deps.now());
  if (other === null) throw new AuthError('ACCOUNT_NOT_LINKED');
  return { userId: other, isNew: false };
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
