// What a state change does besides: it is written to the outbox in the same transaction, and the worker carries it out.
import type { AuditType } from './audit-event-types.ts';

/** Where a call came from, for audit events. */
export type Origin = {
  /** The client's IP address. */
  address: string;
  userAgent: string;
  requestId: string;
};

/** Holds no secret and no email: people appear by id, or by `account`, a keyed hash of an email. */
export type AuditEvent = {
  type: AuditType;
  userId?: string;
  sessionId?: string;
  account?: string;
  /** Why, or what, in a word: the cause of a failure, the limit, the RPC, the role. */
  detail?: string;
  /** Who did it to somebody or something else; as `actorName` has it. */
  actor?: string;
  /** What it was done to, where that is no user: `role:editor`. */
  target?: string;
  before?: object | null;
  after?: object | null;
  origin: Origin;
};

/** To the address that the account had at the moment: a thief may have given it another one by the time of sending. */
type Notice = { userId: string; email: string };

/** Why an account has no password that its owner could sign in with. */
export type ResetCause = 'new-account' | 'password-void';

/** A mail to write; the worker looks up whom it goes to, and makes any token when it sends. */
export type MailOrder =
  /** Without `cause` the owner has asked for it. */
  | { template: 'password-reset'; email: string; cause?: ResetCause }
  | (Notice & { template: 'password-changed' | 'password-reset-done' })
  /** The provider as configuration names it. */
  | (Notice & { template: 'sign-in-method-added' | 'sign-in-method-removed'; provider: string })
  /** To an account's own address, unless it is verified. */
  | { template: 'verify-email'; email: string }
  /** To an account whose owner may be held back at a new network by what strangers try. */
  | { template: 'confirm-network'; email: string }
  /** To the address that an account is to have. */
  | {
      template: 'confirm-email-change';
      userId: string;
      email: string;
      /** Of the account when it was asked for: what has changed since makes it void. */
      accountEmail: string;
      passwordEpoch: number;
      changeId: string;
    }
  /** To the owner of an address with which somebody wanted another account. */
  | { template: 'email-taken'; email: string }
  /** To the address that an account has, and then had, with the link that undoes the change. */
  | (Notice & { template: 'email-change-requested' | 'email-changed'; changeId: string })
  /** To the address that an account had. */
  | (Notice & { template: 'email-change-undone' | 'account-deleted' });

export type Effect = { topic: 'audit'; payload: AuditEvent } | { topic: 'mail'; payload: MailOrder };

export type MailTemplate = MailOrder['template'];

export function audit(event: AuditEvent): Effect {
  return { topic: 'audit', payload: event };
}

export function mail(order: MailOrder): Effect {
  return { topic: 'mail', payload: order };
}
