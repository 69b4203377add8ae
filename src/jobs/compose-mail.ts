// Writes the mail of one order. The worker, and not the call that asked for the mail, looks the account up and makes the
// token: the order holds no secret, and asking takes as long for an unknown account as for a known one.

import type { Email } from '../domain/email.ts';
import type { KeyRing } from '../domain/key-ring.ts';
import type { MailOrder, MailTemplate } from '../domain/mail-order.ts';
import {
  formatMailedToken,
  NETWORK_TOKEN,
  RESET_TOKEN,
  UNDO_TOKEN,
  VERIFICATION_TOKEN,
} from '../domain/mailed-token.ts';
import type { ClaimedMail } from '../store/mail-orders.ts';
import type { Store } from '../store/store.ts';
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

export type ComposeDeps = {
  store: Pick<
    Store,
    'resets' | 'emailVerifications' | 'emailChanges' | 'networkConfirmations' | 'identities' | 'users'
  >;
  resetTokenKeys: KeyRing;
  verificationTokenKeys: KeyRing;
  networkTokenKeys: KeyRing;
  undoTokenKeys: KeyRing;
  publicUrl: string;
  resetTtlSeconds: number;
  verificationTtlSeconds: number;
  now: () => Date;
};

/** The token of the mail would be invalid by the time it arrives, or is already. */
export class ExpiredMail extends Error {}

const NETWORK_TOKEN_TTL_SECONDS = 3_600;
const WITH_SHORT_LIVED_TOKEN: MailTemplate[] = [
  'password-reset',
  'verify-email',
  'confirm-network',
  'confirm-email-change',
];

/** `userId` where the account is known. */
type Addressed = MailContent & { to: string; userId?: string };

/** Whether the mail is of use for about an hour only. */
export function isUrgent({ template }: MailOrder): boolean {
  return WITH_SHORT_LIVED_TOKEN.includes(template);
}

/** Null when the account no longer exists, or no longer needs the mail. @throws ExpiredMail */
export async function composeMail(deps: ComposeDeps, { id, order, createdAt }: ClaimedMail): Promise<Addressed | null> {
  const content = await contentOf(deps, id, order, createdAt);
  if (content === null) return null;
  return { to: order.email, ...('userId' in order && { userId: order.userId }), ...content };
}

/** `to` where it is not the address of the order. */
type Content = MailContent & { userId?: string; to?: string };

async function contentOf(deps: ComposeDeps, id: string, order: MailOrder, createdAt: Date): Promise<Content | null> {
  switch (order.template) {
    case 'password-reset':
      return composeReset(deps, id, order, createdAt);
    case 'password-changed':
      return passwordChangedMail(deps.publicUrl);
    case 'password-reset-done': {
      const others = await deps.store.identities.ofUser(order.userId);
      return passwordResetDoneMail(
        deps.publicUrl,
        others.map(({ provider }) => provider),
      );
    }
    case 'sign-in-method-added':
      return signInMethodAddedMail(deps.publicUrl, order.provider);
    case 'sign-in-method-removed':
      return signInMethodRemovedMail(deps.publicUrl, order.provider);
    case 'verify-email':
      return composeVerification(deps, id, order.email as Email, createdAt);
    case 'confirm-network':
      return composeNetworkConfirmation(deps, id, order.email as Email, createdAt);
    case 'confirm-email-change':
      return composeEmailChange(deps, id, order, createdAt);
    case 'email-taken':
      return emailTakenMail(deps.publicUrl);
    case 'email-changed':
      return emailChangedMail(deps.publicUrl, undoTokenOf(deps, order.changeId));
    case 'email-change-requested':
      return emailChangeRequestedMail(deps.publicUrl, undoTokenOf(deps, order.changeId));
    case 'email-change-undone':
      return emailChangeUndoneMail(deps.publicUrl);
    case 'account-deleted':
      return accountDeletedMail();
  }
}

/** The reset's id is the row's, so that a second attempt sends the same token. */
async function composeReset(
  deps: ComposeDeps,
  id: string,
  { email, cause }: Extract<MailOrder, { template: 'password-reset' }>,
  askedAt: Date,
): Promise<Content | null> {
  const expiresAt = expiry(deps, askedAt, deps.resetTtlSeconds);
  const reset = await deps.store.resets.open(id, email as Email, deps.now(), expiresAt);
  if (!reset) return null;
  const token = formatMailedToken(RESET_TOKEN, reset.id, deps.resetTokenKeys);
  return { to: reset.email, userId: reset.userId, ...passwordResetMail(deps.publicUrl, token, expiresAt, cause) };
}

async function composeVerification(
  deps: ComposeDeps,
  id: string,
  email: Email,
  askedAt: Date,
): Promise<Content | null> {
  const expiresAt = expiry(deps, askedAt, deps.verificationTtlSeconds);
  const found = await deps.store.users.credentialsByEmail(email);
  if (!found || found.user.emailVerified) return null;
  const { user, passwordEpoch } = found;
  const of = { userId: user.id, email, accountEmail: email, passwordEpoch, changeId: null };
  return openVerification(deps, id, of, expiresAt, verifyEmailMail);
}

async function composeNetworkConfirmation(
  deps: ComposeDeps,
  id: string,
  email: Email,
  askedAt: Date,
): Promise<Content | null> {
  const expiresAt = expiry(deps, askedAt, NETWORK_TOKEN_TTL_SECONDS);
  const userId = await deps.store.networkConfirmations.open(id, email, deps.now(), expiresAt);
  if (userId === null) return null;
  const token = formatMailedToken(NETWORK_TOKEN, id, deps.networkTokenKeys);
  return { userId, ...confirmNetworkMail(deps.publicUrl, token, expiresAt) };
}

/** Only the owner of the address learns whether it has an account. */
async function composeEmailChange(
  deps: ComposeDeps,
  id: string,
  order: Extract<MailOrder, { template: 'confirm-email-change' }>,
  askedAt: Date,
): Promise<Content | null> {
  const expiresAt = expiry(deps, askedAt, deps.verificationTtlSeconds);
  const { userId, passwordEpoch, changeId } = order;
  const [email, accountEmail] = [order.email as Email, order.accountEmail as Email];
  const owner = await deps.store.users.byEmail(email);
  // The account may have the address by now, through another mail.
  if (owner?.id === userId) return null;
  const isTaken = owner !== null || (await deps.store.emailChanges.isReserved(email, userId, deps.now()));
  if (isTaken) return emailTakenMail(deps.publicUrl);
  const of = { userId, email, accountEmail, passwordEpoch, changeId };
  return openVerification(deps, id, of, expiresAt, confirmEmailChangeMail);
}

async function openVerification(
  { store, publicUrl, verificationTokenKeys, now }: ComposeDeps,
  id: string,
  of: Parameters<ComposeDeps['store']['emailVerifications']['open']>[1],
  expiresAt: Date,
  write: typeof verifyEmailMail,
): Promise<Content | null> {
  const verification = await store.emailVerifications.open(id, of, now(), expiresAt);
  if (!verification) return null;
  const token = formatMailedToken(VERIFICATION_TOKEN, verification.id, verificationTokenKeys);
  return { userId: of.userId, ...write(publicUrl, token, expiresAt) };
}

function undoTokenOf({ undoTokenKeys }: Pick<ComposeDeps, 'undoTokenKeys'>, changeId: string): string {
  return formatMailedToken(UNDO_TOKEN, changeId, undoTokenKeys);
}

/** A token's lifetime begins when the mail is requested. @throws ExpiredMail when it has ended */
function expiry({ now }: Pick<ComposeDeps, 'now'>, askedAt: Date, ttlSeconds: number): Date {
  const expiresAt = new Date(askedAt.getTime() + ttlSeconds * 1000);
  if (expiresAt <= now()) throw new ExpiredMail('its token expired before the mail could be sent');
  return expiresAt;
}
