import { layout, linkValidUntil, type MailContent } from './layout.ts';
import type { MailFacts } from './mails.ts';

type Facts = Pick<MailFacts, 'publicUrl' | 'token' | 'tokenExpiresAt'>;

export function confirmNetworkMail({ publicUrl, token, tokenExpiresAt }: Facts): MailContent {
  return layout('Sign-ins to your account are restricted', [
    'Hello,',
    'There were several failed attempts to sign in to your account. To protect it, we block sign-ins from new places for a while, even with the correct password.',
    'If you want to sign in now, open this link where you are, and then sign in as usual:',
    { label: 'Allow sign-ins from here', href: `${publicUrl}/confirm-network#token=${token}` },
    linkValidUntil(tokenExpiresAt),
    'If the attempts were not yours, you do not need to do anything. Your account is protected, and your password has not changed. Please do not forward this email.',
  ]);
}
