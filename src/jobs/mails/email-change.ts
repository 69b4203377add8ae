// To the address that an account has or had, when the account is to have another one.
import { layout, type MailContent, type Part } from './layout.ts';

export function emailChangeRequestedMail(publicUrl: string, token: string): MailContent {
  return layout('Your email address is about to change', [
    'Hello,',
    'a new email address was requested for your account. Once it is confirmed, you sign in with the new address, and our mails go there.',
    'If you requested this, you need not do anything.',
    ...undoParts(publicUrl, token, 'If it was not you, stop the change now:', 'Stop the change'),
  ]);
}

export function emailChangedMail(publicUrl: string, token: string): MailContent {
  return layout('Your email address was changed', [
    'Hello,',
    'your account now has another email address: you sign in with the new address, and our mails go there.',
    'If you requested this, you need not do anything.',
    ...undoParts(publicUrl, token, 'If it was not you, undo the change now:', 'Undo the change'),
  ]);
}

/** To the address that the account had by the change. */
export function emailChangeUndoneMail(publicUrl: string): MailContent {
  return layout('The change of your email address was undone', [
    'Hello,',
    'your account had changed its email address to this one. The change was undone from the former address, which the account has again.',
    'All devices were signed out, and the account needs a new password. The link to set it went to the former address.',
    `If this is unexpected, please contact us: ${publicUrl}`,
  ]);
}

/** As with a reset, the token is in the fragment, and no word is a stranger's. */
function undoParts(publicUrl: string, token: string, question: string, label: string): Part[] {
  return [
    question,
    { label, href: `${publicUrl}/undo-email-change#token=${token}` },
    'Your account then keeps this address, all devices are signed out, and we send you a link to set a new password. The link works once, until seven days after the change.',
  ];
}
