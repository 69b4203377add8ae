/**
 * A notice goes to the address at the time of the change: an attacker may have changed the address before the mail is
 * sent.
 */
type Notice = { userId: string; email: string };

/** The reason why an account has no password that its owner could sign in with. */
export type ResetCause = 'new-account' | 'password-void';

/** A mail to send. The worker looks up the recipient, and creates any token when it sends. */
export type MailOrder =
  /** Without `cause` the owner requested it. */
  | { template: 'password-reset'; email: string; cause?: ResetCause }
  | (Notice & { template: 'password-changed' | 'password-reset-done' })
  /** `provider` is its name in the configuration. */
  | (Notice & { template: 'sign-in-method-added' | 'sign-in-method-removed'; provider: string })
  /** To the account's own address, unless it is verified. */
  | { template: 'verify-email'; email: string }
  /** To an account whose owner can be locked out of a new network by failed sign-ins of others. */
  | { template: 'confirm-network'; email: string }
  /** To the requested address. */
  | {
      template: 'confirm-email-change';
      userId: string;
      email: string;
      /**
       * The account's address and password at the time of the request. A later change of either makes the link void.
       */
      accountEmail: string;
      passwordEpoch: number;
      changeId: string;
    }
  /** To the owner of an address that another person requested for their account. */
  | { template: 'email-taken'; email: string }
  /** To the former address, with the link that undoes the change. */
  | (Notice & { template: 'email-change-requested' | 'email-changed'; changeId: string })
  /** To the former address. */
  | (Notice & { template: 'email-change-undone' | 'account-deleted' });

export type MailTemplate = MailOrder['template'];
