// No e-mail contains words that a stranger could have chosen, such as the name of the account: they would reach
// another person. Links carry their token in the fragment, which browsers send to no server. Opening a link changes
// nothing.
import type { FactorKind } from '../../domain/factor.ts';
import type { MailTemplate, ResetCause } from '../../domain/mail-order.ts';
import { confirmNetworkMail } from './confirm-network.ts';
import { emailChangedMail, emailChangeRequestedMail, emailChangeUndoneMail } from './email-change.ts';
import {
  factorAddedMail,
  factorRemovedMail,
  recoveryCodesCreatedMail,
  recoveryCodeUsedMail,
  wrongCodesMail,
} from './factor-notices.ts';
import type { MailContent } from './layout.ts';
import {
  accountDeletedMail,
  emailTakenMail,
  passwordChangedMail,
  passwordResetDoneMail,
  signInMethodAddedMail,
  signInMethodRemovedMail,
} from './notices.ts';
import { passwordResetMail } from './password-reset.ts';
import { confirmEmailChangeMail, verifyEmailMail } from './verify-email.ts';

export type MailFacts = {
  publicUrl: string;
  token: string;
  tokenExpiresAt: Date;
  happenedAt: Date;
  /** In the configuration, such as `google`. */
  provider: string;
  providers: string[];
  factorKind: FactorKind;
  /** The factors that the account has. */
  factorKinds: FactorKind[];
  /** Unused recovery codes. */
  codesLeft: number;
  resetCause?: ResetCause | undefined;
};

export const MAILS = {
  'password-reset': passwordResetMail,
  'password-changed': passwordChangedMail,
  'password-reset-done': passwordResetDoneMail,
  'sign-in-method-added': signInMethodAddedMail,
  'sign-in-method-removed': signInMethodRemovedMail,
  'factor-added': factorAddedMail,
  'factor-removed': factorRemovedMail,
  'recovery-code-used': recoveryCodeUsedMail,
  'recovery-codes-created': recoveryCodesCreatedMail,
  'wrong-codes': wrongCodesMail,
  'verify-email': verifyEmailMail,
  'confirm-email-change': confirmEmailChangeMail,
  'confirm-network': confirmNetworkMail,
  'email-taken': emailTakenMail,
  'email-change-requested': emailChangeRequestedMail,
  'email-changed': emailChangedMail,
  'email-change-undone': emailChangeUndoneMail,
  'account-deleted': accountDeletedMail,
} satisfies Record<MailTemplate, (facts: MailFacts) => MailContent>;
