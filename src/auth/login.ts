// Every failure must look alike and take as long: the same limits, one look-up, one hash, one outbox row.
import type { Deps } from '../deps.ts';
import { accountHash, accountHashes } from '../domain/account-hash.ts';
import { parseAudiences } from '../domain/audience.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseEmail } from '../domain/email.ts';
import { networkOf } from '../domain/networks.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { type Password, parsePresentedPassword } from '../domain/password.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { User } from '../domain/user.ts';
import type { Credentials } from '../store/users.ts';
import { issueTokens } from './issue-tokens.ts';
import { openSession } from './open-session.ts';
import { type Attempt, throttle } from './throttle.ts';

/** @param audiences empty for all */
export type LoginInput = { email: string; password: string; audiences: string[] };

type LoginDeps = Pick<
  Deps,
  | 'store'
  | 'limiter'
  | 'sessionUsers'
  | 'hasher'
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
  const { store, limiter, hasher } = deps;
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
  const attempts = loginAttempts(account, network, places.includes(true));
  const permit = await throttle(deps, attempts, { account }, call);

  const [credentials, matches] = await permit.unlessItThrows(async () => {
    const found = await store.users.credentialsByEmail(email, call.signal);
    // A disabled account is as good as none: its password is not even compared, so nothing tells that it was right.
    const hash = found && !found.user.disabled ? found.passwordHash : null;
    return [found, await hasher.verify(hash, password, call.signal)];
  });
  if (!credentials) return refuse(deps, account, null, 'unknown account', call);
  const why = whyRefused(deps, credentials, matches);
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
function loginAttempts(account: string, network: string, knowsPlace: boolean): Attempt[] {
  const attempts: Attempt[] = [
    { limit: 'LOGIN_PAIR', key: `${account}:${network}` },
    { limit: 'LOGIN_NETWORK', within: [{ limit: 'GLOBAL_SIGN_INS' }] },
  ];
  if (!knowsPlace) attempts.push({ limit: 'LOGIN_ACCOUNT', key: account });
  return attempts;
}

/** What the audit trail tells and the caller does not hear; null when nothing is wrong. */
function whyRefused(
  { requiresVerifiedEmail }: Pick<Deps, 'requiresVerifiedEmail'>,
  credentials: Credentials,
  matches: boolean,
): string | null {
  if (credentials.user.disabled) return 'account disabled';
  if (!credentials.passwordHash) return 'account has no password';
  if (!matches) return 'wrong password';
  return requiresVerifiedEmail && !credentials.user.emailVerified ? 'email not verified' : null;
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
