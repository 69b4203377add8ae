import { layout, type MailContent, worksOnceUntil } from './layout.ts';

/** As with a reset, the token is in the fragment, and no word is a stranger's. */
export function verifyEmailMail(publicUrl: string, token: string, expiresAt: Date): MailContent {
  return layout('Confirm your email address', [
    'Hello,',
    'an account was opened with this email address. If you opened it, please confirm the address:',
    { label: 'Confirm the address', href: `${publicUrl}/verify-email#token=${token}` },
    'Open the link in the browser in which you signed up. Elsewhere you are asked to sign in, or for the password of the account.',
    worksOnceUntil(expiresAt),
    'If it was not you, please ignore this mail and do not confirm the address.',
  ]);
}

export function confirmEmailChangeMail(publicUrl: string, token: string, expiresAt: Date): MailContent {
  return layout('Confirm your new email address', [
    'Hello,',
    'someone asked to use this address for their account. If it was you, please confirm it:',
    { label: 'Use this address', href: `${publicUrl}/verify-email#token=${token}` },
    'Open the link where you are signed in to the account. Elsewhere you are asked for its password.',
    worksOnceUntil(expiresAt),
    'If it was not you, please ignore this mail: nothing changes.',
  ]);
}
