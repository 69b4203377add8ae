import { layout, type MailContent, worksOnceUntil } from './layout.ts';

/** The token is in the fragment, which browsers send to no server, and opening the link changes nothing. */
export function confirmNetworkMail(publicUrl: string, token: string, expiresAt: Date): MailContent {
  return layout('Sign-ins to your account are being held back', [
    'Hello,',
    'there were several failed attempts to sign in to your account. To protect it, sign-ins from places that you have not used before are being held back for a while, even with the right password.',
    'If you want to sign in now, open this link where you are, and then sign in as usual:',
    { label: 'Allow sign-ins from here', href: `${publicUrl}/confirm-network#token=${token}` },
    worksOnceUntil(expiresAt),
    'If it was not you, there is nothing to do: your account is protected, and your password stays as it is. Please do not forward this mail.',
  ]);
}
