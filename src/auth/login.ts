// Every failure must look alike and take as long: the same limits, one look-up, one hash, one outbox row.
import type { Deps } from '../deps.ts';
import { accountHash, accountHashes, mailboxHash } from '../domain/account-hash.ts';
import { parseAudiences } from '../domain/audience.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit, type Effect, mail } from '../domain/effect.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { networkOf } from '../domain/networks.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { type Password, parsePresentedPassword } from '../domain/password.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { User } from '../domain/user.ts';
import type { Outcome } from '../passwords/hash-work.ts';
import type { Credentials } from '../store/users.ts';
import { comparePassword } from './compare-password.ts';
import { issueTokens } from './issue-tokens.ts';
import { MAILS } from './mail-attempts.ts';
import { openSession } from './open-session.ts';
import { type Attempt, spend, throttle } from './throttle.ts';

/** @param audiences empty for all */
export type LoginInput = { email: string; password: string; audiences: string[] };

type LoginDeps = Pick<
  Deps,
  | 'store'
  | 'limiter'
  | 'sessionUsers'
  | 'hasher'
  | 'onUnreadableHash'
  | 'signingKeys'
  | 'verifier'
  | 'purposeKeys'
  | 'requiresVerifiedEmail'
  | 'tokenSettings'
  | 'now'
  | 'newId'
>;

/** @throws AuthError CREDENTIALS_INVALID */
export async function login(deps: LoginDeps, input: LoginInput, call: Call): Promise<{ tokens: Tokens; user: User }> {
  const { store, limiter } = deps;
  const { email, password, audiences } = parseFields({
    email: () => parseEmail(input.email),
    password: () => parsePresentedPassword(input.password),
    audiences: () => parseAudiences(input.audiences, deps.tokenSettings.audiences),
  });
  const account = accountHash(email, deps.purposeKeys.accountHash);
  const network = networkOf(call.origin.address);
  const places = await Promise.all(
    accountHashes(email, deps.purposeKeys.accountHash).map((hash) => limiter.knowsPlace(hash, network)),
  );
  const offer = () => offerConfirmation(deps, email, call);
  const attempts = loginAttempts(account, network, places.includes(true), offer);
  const permit = await throttle(deps, attempts, { account }, call);

  const [credentials, outcome] = await permit.unlessItThrows(async () => {
    const found = await store.users.credentialsByEmail(email, call.signal);
    // The password of an account that may not sign in is not compared, so that no answer shows that it was right.
    const isComparable = found !== null && whyNotComparable(deps, found) === null;
    return [found, await comparePassword(deps, isComparable ? found : null, password, call.signal)] as const;
  });
  if (!credentials) return refuse(deps, account, null, 'unknown account', call);
  const why = whyNotComparable(deps, credentials) ?? whyNoMatch(outcome);
  if (why !== null) return refuse(deps, account, credentials, why, call);
  // Where a second step would stand: the password was right, and nothing has been given out.
  const signIn = { credentials, account, identity: null, audiences };
  const grant = await permit.unlessItThrows(() => openSession(deps, signIn, call));
  if (!grant) return refuse(deps, account, credentials, 'account changed meanwhile', call);

  const [tokens] = await Promise.all([
    issueTokens(deps, grant),
    permit.giveBack(),
    limiter.rememberPlace(account, network),
    upgradeHash(deps, credentials, password, call.signal),
  ]);
  return { tokens, user: credentials.user };
}

/** An owner at a network they signed in from before is not kept out by what strangers tried elsewhere. */
function loginAttempts(
  account: string,
  network: string,
  knowsPlace: boolean,
  onFirstRefusal: () => Promise<Effect[]>,
): Attempt[] {
  const attempts: Attempt[] = [
    { limit: 'LOGIN_PAIR', key: `${account}:${network}` },
    { limit: 'LOGIN_NETWORK', within: [{ limit: 'GLOBAL_SIGN_INS' }] },
  ];
  if (!knowsPlace) attempts.push({ limit: 'LOGIN_ACCOUNT', key: account, onFirstRefusal });
  return attempts;
}

/** A mail by which the owner can confirm a network. The worker looks up whether there is such an account. */
async function offerConfirmation(deps: LoginDeps, email: Email, call: Call): Promise<Effect[]> {
  const { allowed } = await deps.limiter.take('NETWORK_MAIL_ACCOUNT', mailboxHash(email, deps.purposeKeys.accountHash));
  if (!allowed) return [];
  await spend(deps, [MAILS], call);
  return [mail({ template: 'confirm-network', email })];
}

/** For the audit trail alone. Null when the account may sign in with its password. */
function whyNotComparable(
  { requiresVerifiedEmail }: Pick<Deps, 'requiresVerifiedEmail'>,
  { user, passwordHash }: Credentials,
): string | null {
  if (user.disabled) return 'account disabled';
  if (passwordHash === null) return 'account has no password';
  return requiresVerifiedEmail && !user.emailVerified ? 'email not verified' : null;
}

function whyNoMatch(outcome: Outcome): string | null {
  if (outcome === 'match') return null;
  return outcome === 'unreadable' ? 'password hash unreadable' : 'wrong password';
}

async function refuse(
  deps: Pick<Deps, 'store' | 'now'>,
  account: string,
  credentials: Credentials | null,
  why: string,
  { origin }: Call,
): Promise<never> {
  const event = { type: 'login_failed', account, detail: why, origin } as const;
  await deps.store.outbox.write(deps.now(), [audit(credentials ? { ...event, userId: credentials.user.id } : event)]);
  throw new AuthError('CREDENTIALS_INVALID');
}

async function upgradeHash(
  { store, hasher }: Pick<Deps, 'store' | 'hasher'>,
  { user, passwordHash }: Credentials,
  password: Password,
  signal: AbortSignal,
): Promise<void> {
  if (!passwordHash || !hasher.isOutdated(passwordHash)) return;
  try {
    await store.users.upgradeHash(user.id, passwordHash, await hasher.hash(password, signal));
  } catch {
    // The old hash still does, and the next sign-in tries again; this one has succeeded.
  }
}
