// Carries out one mail order. The worker, and not the call that asked for the mail, looks the account up and makes the
// token: the order holds no secret, and asking takes as long for an unknown account as for a known one.
import type { MailOrder } from '../domain/effect.ts';
import type { Email } from '../domain/email.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import {
  formatMailedToken,
  NETWORK_TOKEN,
  RESET_TOKEN,
  UNDO_TOKEN,
  VERIFICATION_TOKEN,
} from '../domain/mailed-token.ts';
import type { MailRow } from '../store/outbox.ts';
import type { Store } from '../store/store.ts';
import { type Mailer, UndeliverableMail } from './mailer.ts';
import { confirmNetworkMail } from './mails/confirm-network.ts';
import { emailChangedMail, emailChangeRequestedMail, emailChangeUndoneMail } from './mails/email-change.ts';
import type { MailContent } from './mails/layout.ts';
import {
  accountDeletedMail,
  emailTakenMail,
  passwordChangedMail,
  passwordResetDoneMail,
  signInMethodAddedMail,
  signInMethodRemovedMail,
} from './mails/notices.ts';
import { passwordResetMail } from './mails/password-reset.ts';
import { confirmEmailChangeMail, verifyEmailMail } from './mails/verify-email.ts';

export type MailDeps = {
  store: Pick<
    Store,
    'outbox' | 'resets' | 'emailVerifications' | 'emailChanges' | 'networkConfirmations' | 'identities' | 'users'
  >;
  mailer: Mailer;
  resetTokenKeys: KeyRing;
  verificationTokenKeys: KeyRing;
  networkTokenKeys: KeyRing;
  undoTokenKeys: KeyRing;
  publicUrl: string;
  resetTtlSeconds: number;
  verificationTtlSeconds: number;
  now: () => Date;
};

const NETWORK_TOKEN_TTL_SECONDS = 3_600;

type Addressed = MailContent & { to: string };

/** Sends the mail of an outbox row and takes the row away. Does nothing when that has been done. */
export async function sendMail(deps: MailDeps, outboxId: string): Promise<void> {
  const row = await deps.store.outbox.mail(outboxId);
  if (!row) return;
  const mail = await compose(deps, outboxId, row);
  if (mail) await deps.mailer.send({ id: outboxId, ...mail });
  await deps.store.outbox.done(outboxId);
}

/** Null when there is nobody to write to. */
async function compose(deps: MailDeps, outboxId: string, { order, createdAt }: MailRow): Promise<Addressed | null> {
  switch (order.template) {
    case 'password-reset':
      return composeReset(deps, outboxId, order, createdAt);
    case 'password-changed':
      return { to: order.email, ...passwordChangedMail(deps.publicUrl) };
    case 'password-reset-done': {
      const others = await deps.store.identities.ofUser(order.userId);
      return {
        to: order.email,
        ...passwordResetDoneMail(
          deps.publicUrl,
          others.map(({ provider }) => provider),
        ),
      };
    }
    case 'sign-in-method-added':
      return { to: order.email, ...signInMethodAddedMail(deps.publicUrl, order.provider) };
    case 'sign-in-method-removed':
      return { to: order.email, ...signInMethodRemovedMail(deps.publicUrl, order.provider) };
    case 'verify-email':
      return composeVerification(deps, outboxId, order.email as Email, createdAt);
    case 'confirm-network':
      return composeNetworkConfirmation(deps, outboxId, order.email as Email, createdAt);
    case 'confirm-email-change':
      return composeEmailChange(deps, outboxId, order, createdAt);
    case 'email-taken':
      return { to: order.email, ...emailTakenMail(deps.publicUrl) };
    case 'email-changed':
      return { to: order.email, ...emailChangedMail(deps.publicUrl, undoTokenOf(deps, order.changeId)) };
    case 'email-change-requested':
      return { to: order.email, ...emailChangeRequestedMail(deps.publicUrl, undoTokenOf(deps, order.changeId)) };
    case 'email-change-undone':
      return { to: order.email, ...emailChangeUndoneMail(deps.publicUrl) };
    case 'account-deleted':
      return { to: order.email, ...accountDeletedMail() };
  }
}

/** The reset's id is the row's, so that a second attempt sends the same token; its time runs from when it was asked for. */
async function composeReset(
  deps: MailDeps,
  outboxId: string,
  { email, cause }: Extract<MailOrder, { template: 'password-reset' }>,
  askedAt: Date,
): Promise<Addressed | null> {
  const expiresAt = expiry(deps, askedAt, deps.resetTtlSeconds);
  const reset = await deps.store.resets.open(outboxId, email as Email, deps.now(), expiresAt);
  if (!reset) return null;
  const token = formatMailedToken(RESET_TOKEN, reset.id, deps.resetTokenKeys);
  return { to: reset.email, ...passwordResetMail(deps.publicUrl, token, expiresAt, cause) };
}

async function composeVerification(deps: MailDeps, id: string, email: Email, askedAt: Date): Promise<Addressed | null> {
  const expiresAt = expiry(deps, askedAt, deps.verificationTtlSeconds);
  const found = await deps.store.users.credentialsByEmail(email);
  if (!found || found.user.emailVerified) return null;
  const { user, passwordEpoch } = found;
  const of = { userId: user.id, email, accountEmail: email, passwordEpoch, changeId: null };
  return openVerification(deps, id, of, expiresAt, verifyEmailMail);
}

async function composeNetworkConfirmation(
  deps: MailDeps,
  id: string,
  email: Email,
  askedAt: Date,
): Promise<Addressed | null> {
  const expiresAt = expiry(deps, askedAt, NETWORK_TOKEN_TTL_SECONDS);
  if (!(await deps.store.networkConfirmations.open(id, email, deps.now(), expiresAt))) return null;
  const token = formatMailedToken(NETWORK_TOKEN, id, deps.networkTokenKeys);
  return { to: email, ...confirmNetworkMail(deps.publicUrl, token, expiresAt) };
}

/** Whether the address has an account, nobody but its owner hears. */
async function composeEmailChange(
  deps: MailDeps,
  id: string,
  order: Extract<MailOrder, { template: 'confirm-email-change' }>,
  askedAt: Date,
): Promise<Addressed | null> {
  const expiresAt = expiry(deps, askedAt, deps.verificationTtlSeconds);
  const { userId, passwordEpoch, changeId } = order;
  const [email, accountEmail] = [order.email as Email, order.accountEmail as Email];
  const owner = await deps.store.users.byEmail(email);
  // It may be theirs by now, by another mail that they had asked for.
  if (owner?.id === userId) return null;
  const isTaken = owner !== null || (await deps.store.emailChanges.isReserved(email, userId, deps.now()));
  if (isTaken) return { to: email, ...emailTakenMail(deps.publicUrl) };
  const of = { userId, email, accountEmail, passwordEpoch, changeId };
  return openVerification(deps, id, of, expiresAt, confirmEmailChangeMail);
}

async function openVerification(
  { store, publicUrl, verificationTokenKeys, now }: MailDeps,
  id: string,
  of: Parameters<MailDeps['store']['emailVerifications']['open']>[1],
  expiresAt: Date,
  write: typeof verifyEmailMail,
): Promise<Addressed | null> {
  const verification = await store.emailVerifications.open(id, of, now(), expiresAt);
  if (!verification) return null;
  const token = formatMailedToken(VERIFICATION_TOKEN, verification.id, verificationTokenKeys);
  return { to: of.email, ...write(publicUrl, token, expiresAt) };
}

function undoTokenOf({ undoTokenKeys }: Pick<MailDeps, 'undoTokenKeys'>, changeId: string): string {
  return formatMailedToken(UNDO_TOKEN, changeId, undoTokenKeys);
}

/** Of a token that runs from when it was asked for. @throws UndeliverableMail when that is over */
function expiry({ now }: Pick<MailDeps, 'now'>, askedAt: Date, ttlSeconds: number): Date {
  const expiresAt = new Date(askedAt.getTime() + ttlSeconds * 1000);
  if (expiresAt <= now()) throw new UndeliverableMail('its token expired before the mail could be sent');
  return expiresAt;
}
