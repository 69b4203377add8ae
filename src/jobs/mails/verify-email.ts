import { layout, type MailContent, worksOnceUntil } from './layout.ts';

/** As with a reset, the token is in the fragment, and no word is a stranger's. */
export function verifyEmailMail(publicUrl: string, token: string, expiresAt: Date): MailContent {
  return layout('Confirm your email address', [
    'Hello,',
    'an account was opened with this email address. Confirm that it is yours:',
    { label: 'Confirm the address', href: `${publicUrl}/verify-email#token=${token}` },
    worksOnceUntil(expiresAt),
    'If it was not you, ignore this mail.',
  ]);
}

export function confirmEmailChangeMail(publicUrl: string, token: string, expiresAt: Date): MailContent {
  return layout('Confirm your new email address', [
    'Hello,',
    'an account is to have this email address from now on. Confirm that it is yours:',
    { label: 'Use this address', href: `${publicUrl}/verify-email#token=${token}` },
    worksOnceUntil(expiresAt),
    'If it was not you, ignore this mail: nothing changes.',
  ]);
}
