// Every failure must look the same and take the same time: the same limits, one look-up, one hash, one outbox row.

import type { Deps } from '../deps.ts';
import { accountHash, accountHashes, mailboxHash } from '../domain/account-hash.ts';
import { BY_PASSWORD } from '../domain/acr.ts';
import { parseAudiences } from '../domain/audience.ts';
import type { Call } from '../domain/call.ts';
import { type Effect, mail } from '../domain/effect.ts';
import { type Email, parseEmail } from '../domain/email.ts';
import { networkOf } from '../domain/networks.ts';
import { parseFields } from '../domain/parse-fields.ts';
import { type Password, parsePresentedPassword } from '../domain/password.ts';
import { isMatch, type Outcome } from '../passwords/hash-work.ts';
import type { Credentials } from '../store/users.ts';
import { comparePassword } from './compare-password.ts';
import { completeFirstStep, type FirstStep } from './complete-first-step.ts';
import { type Attempt, enforceLimits, spendBudgets } from './enforce-limits.ts';
import { MAILS } from './mail-attempts.ts';
import { rejectCredentials } from './reject-credentials.ts';

/** @param audiences empty for all audiences */
export type LoginInput = { email: string; password: string; audiences: string[] };

type LoginDeps = Pick<
  Deps,
  | 'store'
  | 'limiter'
  | 'knownNetworks'
  | 'sessionUsers'
  | 'hasher'
  | 'onUnreadableHash'
  | 'signingKeys'
  | 'verifier'
  | 'purposeKeys'
  | 'requiresVerifiedEmail'
  | 'tokenSettings'
  | 'relyingParty'
  | 'now'
  | 'newId'
>;

/** @throws AuthError CREDENTIALS_INVALID */
export async function login(deps: LoginDeps, input: LoginInput, call: Call): Promise<FirstStep> {
  const { store, knownNetworks } = deps;
  const { email, password, audiences } = parseFields({
    email: () => parseEmail(input.email),
    password: () => parsePresentedPassword(input.password),
    audiences: () => parseAudiences(input.audiences, deps.tokenSettings.audiences),
  });
  const account = accountHash(email, deps.purposeKeys.accountHash);
  const network = networkOf(call.origin.address);
  const known = await Promise.all(
    accountHashes(email, deps.purposeKeys.accountHash).map((hash) => knownNetworks.isKnown(hash, network)),
  );
  const offer = () => offerConfirmation(deps, email, call);
  const attempts = loginAttempts(account, network, known.includes(true), offer);
  const permit = await enforceLimits(deps, { attempts, account }, call);

  const [credentials, outcome] = await permit.giveBackOnError(async () => {
    const found = await store.users.credentialsByEmail(email, call.signal);
    // The password is not compared for an account that may not sign in, so that no response shows whether it was right.
    const isComparable = found !== null && blockCause(deps, found) === null;
    return [found, await comparePassword(deps, isComparable ? found : null, password, call.signal)] as const;
  });
  if (!credentials) return rejectLogin(deps, { account, credentials, cause: 'unknown account' }, call);
  const cause = blockCause(deps, credentials) ?? mismatchCause(outcome);
  if (cause !== null) return rejectLogin(deps, { account, credentials, cause }, call);
  const signIn = { credentials, account, identity: null, audiences, methods: BY_PASSWORD };
  const step = await permit.giveBackOnError(() => completeFirstStep(deps, signIn, call));
  if (!step) return rejectLogin(deps, { account, credentials, cause: 'account changed meanwhile' }, call);

  await Promise.all([
    permit.giveBack(),
    // After a challenge, the second step shows whose network it is.
    step.challenge === null && knownNetworks.remember(account, network),
    upgradeHash(deps, { credentials, outcome, password: password.password }, call.signal),
  ]);
  return step;
}

/** On a known network, attempts of strangers elsewhere do not block the owner. */
function loginAttempts(
  account: string,
  network: string,
  isKnownNetwork: boolean,
  onFirstRejection: () => Promise<Effect[]>,
): Attempt[] {
  const attempts: Attempt[] = [
    { limit: 'LOGIN_PAIR', key: `${account}:${network}` },
    { limit: 'LOGIN_NETWORK', budgets: [{ limit: 'GLOBAL_SIGN_INS' }] },
  ];
  if (!isKnownNetwork) attempts.push({ limit: 'LOGIN_ACCOUNT', key: account, onFirstRejection });
  return attempts;
}

/** The worker looks the account up. */
async function offerConfirmation(deps: LoginDeps, email: Email, call: Call): Promise<Effect[]> {
  const { allowed } = await deps.limiter.take('NETWORK_MAIL_ACCOUNT', mailboxHash(email, deps.purposeKeys.accountHash));
  if (!allowed) return [];
  await spendBudgets(deps, [MAILS], call);
  return [mail({ template: 'confirm-network', email })];
}

/** The cause is for the audit trail and the log only. */
function blockCause(
  { requiresVerifiedEmail }: Pick<Deps, 'requiresVerifiedEmail'>,
  { user, passwordHash }: Credentials,
): string | null {
  if (user.disabled) return 'account disabled';
  if (passwordHash === null) return 'account has no password';
  return requiresVerifiedEmail && !user.emailVerified ? 'email not verified' : null;
}

function mismatchCause(outcome: Outcome): string | null {
  if (isMatch(outcome)) return null;
  return outcome === 'unreadable' ? 'password hash unreadable' : 'wrong password';
}

function rejectLogin(
  deps: Pick<Deps, 'store' | 'now'>,
  { account, credentials, cause }: { account: string; credentials: Credentials | null; cause: string },
  call: Call,
): Promise<never> {
  return rejectCredentials(deps, { account, userId: credentials?.user.id ?? null, cause }, call);
}

async function upgradeHash(
  { store, hasher }: Pick<Deps, 'store' | 'hasher'>,
  {
    credentials: { user, passwordHash },
    outcome,
    password,
  }: { credentials: Credentials; outcome: Outcome; password: Password },
  signal: AbortSignal,
): Promise<void> {
  if (!passwordHash || !hasher.isOutdated(passwordHash, outcome)) return;
  try {
    await store.users.upgradeHash(user.id, passwordHash, await hasher.hash(password, signal));
  } catch {
    // The old hash is still valid, and the next sign-in tries again.
  }
}
