import type { FactorKind } from './factor.ts';

/** An attacker may change the address before the notice is sent, so it keeps the address at the time of the change. */
type Notice = { userId: string; email: string };

export type ResetCause = 'new-account' | 'password-void';

/** The worker looks up the recipient, and creates any token when it sends. */
export type MailOrder =
  /** Without `cause` the owner requested it. */
  | { template: 'password-reset'; email: string; cause?: ResetCause }
  | (Notice & { template: 'password-changed' | 'password-reset-done' })
  /** `provider` is its name in the configuration. */
  | (Notice & { template: 'sign-in-method-added' | 'sign-in-method-removed'; provider: string })
  | (Notice & { template: 'factor-added' | 'factor-removed'; kind: FactorKind })
  | (Notice & { template: 'recovery-code-used'; codesLeft: number })
  | (Notice & { template: 'recovery-codes-created' | 'wrong-codes' })
  /** To the account's own address, unless it is verified. */
  | { template: 'verify-email'; email: string }
  /** For an owner who can be locked out of a new network by failed sign-ins of others. */
  | { template: 'confirm-network'; email: string }
  | {
      template: 'confirm-email-change';
      userId: string;
      email: string;
      /** At the time of the request. A later change of either makes the link void. */
      accountEmail: string;
      passwordEpoch: number;
      changeId: string;
    }
  /** To the owner of an address that another person requested. */
  | { template: 'email-taken'; email: string }
  /** To the former address, with the link that undoes the change. */
  | (Notice & { template: 'email-change-requested' | 'email-changed'; changeId: string })
  | (Notice & { template: 'email-change-undone' | 'account-deleted' });

export type MailTemplate = MailOrder['template'];
