import { layout, type MailContent, worksOnceUntil } from './layout.ts';

/**
 * The token is in the fragment, which browsers send to no server. Nothing that a stranger could have chosen, such as the
 * name of the account, is in it: we would be sending their words.
 */
export function passwordResetMail(publicUrl: string, token: string, expiresAt: Date): MailContent {
  return layout('Set a new password', [
    'Hello,',
    'somebody, hopefully you, asked for a new password for your account.',
    { label: 'Set a new password', href: `${publicUrl}/reset-password#token=${token}` },
    worksOnceUntil(expiresAt),
    'If it was not you, ignore this mail: your password stays as it is.',
  ]);
}
