// The worker looks the account up and creates the token. So the order contains no secret, and the call that requested
// the e-mail takes the same time for unknown and known accounts.
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
import type { MailContent } from './mails/layout.ts';
import { MAILS } from './mails/mails.ts';

export type ComposeDeps = {
  store: Pick<
    Store,
    'resets' | 'emailVerifications' | 'emailChanges' | 'networkConfirmations' | 'identities' | 'factors' | 'users'
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

export class ExpiredMail extends Error {}

const NETWORK_TOKEN_TTL_SECONDS = 3_600;
const WITH_SHORT_LIVED_TOKEN: MailTemplate[] = [
  'password-reset',
  'verify-email',
  'confirm-network',
  'confirm-email-change',
];

type Addressed = MailContent & { to: string; userId?: string };

export function isUrgent({ template }: MailOrder): boolean {
  return WITH_SHORT_LIVED_TOKEN.includes(template);
}

/** Null when the account no longer needs the e-mail. @throws ExpiredMail */
export async function composeMail(deps: ComposeDeps, { id, order, createdAt }: ClaimedMail): Promise<Addressed | null> {
  const content = await contentOf(deps, id, order, createdAt);
  if (content === null) return null;
  return { to: order.email, ...('userId' in order && { userId: order.userId }), ...content };
}

/** `to` overrides the address of the order. */
type Content = MailContent & { userId?: string; to?: string };

async function contentOf(deps: ComposeDeps, id: string, order: MailOrder, createdAt: Date): Promise<Content | null> {
  const facts = { publicUrl: deps.publicUrl, happenedAt: createdAt };
  switch (order.template) {
    case 'password-reset':
      return composeReset(deps, id, order, createdAt);
    case 'password-reset-done': {
      const [identities, factors] = await Promise.all([
        deps.store.identities.ofUser(order.userId),
        deps.store.factors.ofUser(order.userId),
      ]);
      return MAILS['password-reset-done']({
        ...facts,
        providers: identities.map(({ provider }) => provider),
        factorKinds: factors.map(({ kind }) => kind),
      });
    }
    case 'sign-in-method-added':
    case 'sign-in-method-removed':
      return MAILS[order.template]({ ...facts, provider: order.provider });
    case 'verify-email':
      return composeVerification(deps, id, order.email as Email, createdAt);
    case 'confirm-network':
      return composeNetworkConfirmation(deps, id, order.email as Email, createdAt);
    case 'confirm-email-change':
      return composeEmailChange(deps, id, order, createdAt);
    case 'email-changed':
    case 'email-change-requested':
      return MAILS[order.template]({
        ...facts,
        token: formatMailedToken(UNDO_TOKEN, order.changeId, deps.undoTokenKeys),
      });
    case 'factor-added':
    case 'factor-removed':
      return MAILS[order.template]({ ...facts, factorKind: order.kind });
    case 'recovery-code-used':
      return MAILS['recovery-code-used']({ ...facts, codesLeft: order.codesLeft });
    case 'recovery-codes-created':
    case 'wrong-codes':
    case 'password-changed':
    case 'email-taken':
    case 'email-change-undone':
    case 'account-deleted':
      return MAILS[order.template](facts);
  }
}

/** The reset has the id of the outbox row, so that a second attempt sends the same token. */
async function composeReset(
  deps: ComposeDeps,
  id: string,
  { email, cause }: Extract<MailOrder, { template: 'password-reset' }>,
  requestedAt: Date,
): Promise<Content | null> {
  const expiresAt = expiry(deps, requestedAt, deps.resetTtlSeconds);
  const reset = await deps.store.resets.create(id, email as Email, { at: deps.now(), expiresAt });
  if (!reset) return null;
  const token = formatMailedToken(RESET_TOKEN, reset.id, deps.resetTokenKeys);
  const content = MAILS['password-reset']({
    publicUrl: deps.publicUrl,
    token,
    tokenExpiresAt: expiresAt,
    resetCause: cause,
  });
  return { to: reset.email, userId: reset.userId, ...content };
}

async function composeVerification(
  deps: ComposeDeps,
  id: string,
  email: Email,
  requestedAt: Date,
): Promise<Content | null> {
  const expiresAt = expiry(deps, requestedAt, deps.verificationTtlSeconds);
  const found = await deps.store.users.credentialsByEmail(email);
  if (!found || found.user.emailVerified) return null;
  const { user, passwordEpoch } = found;
  const request = { userId: user.id, email, accountEmail: email, passwordEpoch, changeId: null };
  return createVerification(deps, { id, request, expiresAt, template: 'verify-email' });
}

async function composeNetworkConfirmation(
  deps: ComposeDeps,
  id: string,
  email: Email,
  requestedAt: Date,
): Promise<Content | null> {
  const expiresAt = expiry(deps, requestedAt, NETWORK_TOKEN_TTL_SECONDS);
  const userId = await deps.store.networkConfirmations.create(id, email, { at: deps.now(), expiresAt });
  if (userId === null) return null;
  const token = formatMailedToken(NETWORK_TOKEN, id, deps.networkTokenKeys);
  return { userId, ...MAILS['confirm-network']({ publicUrl: deps.publicUrl, token, tokenExpiresAt: expiresAt }) };
}

/** Only the owner of the new address learns whether it has an account. */
async function composeEmailChange(
  deps: ComposeDeps,
  id: string,
  order: Extract<MailOrder, { template: 'confirm-email-change' }>,
  requestedAt: Date,
): Promise<Content | null> {
  const expiresAt = expiry(deps, requestedAt, deps.verificationTtlSeconds);
  const { userId, passwordEpoch, changeId } = order;
  const [email, accountEmail] = [order.email as Email, order.accountEmail as Email];
  const owner = await deps.store.users.byEmail(email);
  // The account may have received the address already, through another e-mail.
  if (owner?.id === userId) return null;
  const isTaken = owner !== null || (await deps.store.emailChanges.isReserved(email, userId, deps.now()));
  if (isTaken) return MAILS['email-taken']({ publicUrl: deps.publicUrl });
  const request = { userId, email, accountEmail, passwordEpoch, changeId };
  return createVerification(deps, { id, request, expiresAt, template: 'confirm-email-change' });
}

type NewVerification = {
  id: string;
  request: Parameters<ComposeDeps['store']['emailVerifications']['create']>[1];
  expiresAt: Date;
  template: 'verify-email' | 'confirm-email-change';
};

async function createVerification(
  { store, publicUrl, verificationTokenKeys, now }: ComposeDeps,
  { id, request, expiresAt, template }: NewVerification,
): Promise<Content | null> {
  const verification = await store.emailVerifications.create(id, request, { at: now(), expiresAt });
  if (!verification) return null;
  const token = formatMailedToken(VERIFICATION_TOKEN, verification.id, verificationTokenKeys);
  return { userId: request.userId, ...MAILS[template]({ publicUrl, token, tokenExpiresAt: expiresAt }) };
}

/** The lifetime of a token begins with the request for the e-mail. @throws ExpiredMail */
function expiry({ now }: Pick<ComposeDeps, 'now'>, requestedAt: Date, ttlSeconds: number): Date {
  const expiresAt = new Date(requestedAt.getTime() + ttlSeconds * 1000);
  if (expiresAt <= now()) throw new ExpiredMail('its token expired before the mail could be sent');
  return expiresAt;
}
