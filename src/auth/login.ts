// Every failure must look alike and take as long: the same limits, one look-up, one hash, one outbox row.
import type { Deps } from '../deps.ts';
import { accountHash } from '../domain/account-hash.ts';
import { AuthError } from '../domain/auth-error.ts';
import type { Call } from '../domain/call.ts';
import { audit } from '../domain/effect.ts';
import { parseEmail } from '../domain/email.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { type Password, parsePresentedPassword } from '../domain/password.ts';
import type { Tokens } from '../domain/tokens.ts';
import type { User } from '../domain/user.ts';
import { networkOf } from '../limits/network-of.ts';
import type { Credentials } from '../store/users.ts';
import { issueTokens } from './issue-tokens.ts';
import { openSession } from './open-session.ts';
import { type Attempt, throttle } from './throttle.ts';

export type LoginInput = { email: string; password: string };

type LoginDeps = Pick<
  Deps,
  'store' | 'limiter' | 'hasher' | 'signingKeys' | 'purposeKeys' | 'tokenSettings' | 'now' | 'newId'
>;

/** @throws AuthError CREDENTIALS_INVALID */
export async function login(deps: LoginDeps, input: LoginInput, call: Call): Promise<{ tokens: Tokens; user: User }> {
  const { store, limiter, hasher } = deps;
  const { email, password } = parseFields({
    email: () => parseEmail(input.email),
    password: () => parsePresentedPassword(input.password),
  });
  const account = accountHash(email, deps.purposeKeys.accountHash);
  const network = networkOf(call.origin.address);
  const permit = await throttle(deps, await loginAttempts(deps, account, network), { account }, call);

  const credentials = await store.users.credentialsByEmail(email, call.signal);
  const matches = await hasher.verify(credentials?.passwordHash ?? null, password, call.signal);
  if (!credentials || !matches || credentials.disabled) {
    return refuse(deps, account, credentials, matches, call);
  }
  const grant = await openSession(deps, credentials, account, call);
  if (!grant) return refuse(deps, account, credentials, false, call);

  await Promise.all([permit.giveBack(), limiter.rememberPlace(account, network)]);
  await upgradeHash(deps, credentials, password, call.signal);
  return { tokens: await issueTokens(deps, grant), user: credentials.user };
}

/** An owner at a network they signed in from before is not kept out by what strangers tried elsewhere. */
async function loginAttempts({ limiter }: Pick<Deps, 'limiter'>, account: string, network: string): Promise<Attempt[]> {
  const attempts: Attempt[] = [
    { limit: 'LOGIN_PAIR', key: `${account}:${network}` },
    { limit: 'LOGIN_NETWORK', key: network },
  ];
  if (!(await limiter.knowsPlace(account, network))) attempts.push({ limit: 'LOGIN_ACCOUNT', key: account });
  return attempts;
}

async function refuse(
  deps: Pick<Deps, 'store' | 'now'>,
  account: string,
  credentials: Credentials | null,
  matches: boolean,
  { origin }: Call,
): Promise<never> {
  const detail = whyRefused(credentials, matches);
  const event = { type: 'login_failed', account, detail, origin } as const;
  await deps.store.outbox.write(deps.now(), [audit(credentials ? { ...event, userId: credentials.user.id } : event)]);
  throw new AuthError('CREDENTIALS_INVALID');
}

/** For the audit trail alone. */
function whyRefused(credentials: Credentials | null, matches: boolean): string {
  if (!credentials) return 'unknown account';
  if (credentials.disabled) return 'account disabled';
  if (!credentials.passwordHash) return 'account has no password';
  return matches ? 'account changed meanwhile' : 'wrong password';
}

async function upgradeHash(
  { store, hasher }: Pick<Deps, 'store' | 'hasher'>,
  { user, passwordHash }: Credentials,
  password: Password,
  signal: AbortSignal,
): Promise<void> {
  if (!passwordHash || !hasher.isOutdated(passwordHash)) return;
  await store.users.upgradeHash(user.id, passwordHash, await hasher.hash(password, signal));
}
