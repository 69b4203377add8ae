import type { ResetCause } from '../../domain/mail-order.ts';
import { layout, linkValidUntil, type MailContent } from './layout.ts';
import type { MailFacts } from './mails.ts';

type Facts = Pick<MailFacts, 'publicUrl' | 'token' | 'tokenExpiresAt' | 'resetCause'>;
type Wording = { reason: string; ifUnexpected: string };

const REQUESTED: Wording = {
  reason: 'We received a request to set a new password for your account. You can set it here:',
  ifUnexpected: 'If you did not request this, you can ignore this email. Your password stays the same.',
};
const WORDINGS: Record<ResetCause, Wording> = {
  'new-account': {
    reason: 'An account was created for you with this email address. Set a password to start using it:',
    ifUnexpected:
      'If you did not expect an account, you can ignore this email. Without a password, the account cannot be used to sign in.',
  },
  'password-void': {
    reason: 'To protect your account, its password was removed. Set a new password to sign in again:',
    ifUnexpected: 'Until you set a new password, signing in with a password is not possible.',
  },
};

export function passwordResetMail({ publicUrl, token, tokenExpiresAt, resetCause }: Facts): MailContent {
  const { reason, ifUnexpected } = resetCause ? WORDINGS[resetCause] : REQUESTED;
  return layout('Set a new password', [
    'Hello,',
    reason,
    { label: 'Set a new password', href: `${publicUrl}/reset-password#token=${token}` },
    linkValidUntil(tokenExpiresAt),
    ifUnexpected,
    'Please do not forward this email: anyone who has the link can set your password.',
  ]);
}
