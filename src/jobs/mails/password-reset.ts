import type { ResetCause } from '../../domain/mail-order.ts';
import { layout, type MailContent, worksOnceUntil } from './layout.ts';

type Words = { why: string; otherwise: string };

const ASKED: Words = {
  why: 'someone, hopefully you, asked for a new password for your account.',
  otherwise: 'If it was not you, ignore this mail: your password stays as it is.',
};
const WORDS: Record<ResetCause, Words> = {
  'new-account': {
    why: 'an account was opened for you with this address. Set a password to sign in.',
    otherwise: 'If you do not expect an account, ignore this mail: nobody can sign in to it without a password.',
  },
  'password-void': {
    why: 'for your security the password of your account was removed. Set a new one to sign in.',
    otherwise: 'Until then nobody can sign in to your account with a password.',
  },
};

/**
 * The token is in the fragment, which browsers send to no server. Nothing that a stranger could have chosen, such as the
 * name of the account, is in it: we would be sending their words.
 */
export function passwordResetMail(publicUrl: string, token: string, expiresAt: Date, cause?: ResetCause): MailContent {
  const { why, otherwise } = cause ? WORDS[cause] : ASKED;
  return layout('Set a new password', [
    'Hello,',
    why,
    { label: 'Set a new password', href: `${publicUrl}/reset-password#token=${token}` },
    worksOnceUntil(expiresAt),
    otherwise,
  ]);
}
