import { layout, linkValidUntil, type MailContent } from './layout.ts';
import type { MailFacts } from './mails.ts';

type Facts = Pick<MailFacts, 'publicUrl' | 'token' | 'tokenExpiresAt'>;

export function verifyEmailMail({ publicUrl, token, tokenExpiresAt }: Facts): MailContent {
  return layout('Confirm your email address', [
    'Hello,',
    'An account was created with this email address. If you created it, please confirm the address:',
    { label: 'Confirm the address', href: `${publicUrl}/verify-email#token=${token}` },
    'Open the link in the browser in which you signed up. In another browser, you need to sign in or to enter the password of the account.',
    linkValidUntil(tokenExpiresAt),
    'If it was not you, please ignore this email and do not confirm the address.',
  ]);
}

export function confirmEmailChangeMail({ publicUrl, token, tokenExpiresAt }: Facts): MailContent {
  return layout('Confirm your new email address', [
    'Hello,',
    'We received a request to use this email address for an account. If it was you, please confirm the address:',
    { label: 'Use this address', href: `${publicUrl}/verify-email#token=${token}` },
    'Open the link in the browser in which you are signed in to the account. In another browser, you need to enter the password of the account.',
    linkValidUntil(tokenExpiresAt),
    'If it was not you, you can ignore this email. Nothing changes.',
  ]);
}
