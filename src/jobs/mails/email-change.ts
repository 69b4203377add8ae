import { formatTime, layout, type MailContent, type Part } from './layout.ts';
import type { MailFacts } from './mails.ts';

type Facts = Pick<MailFacts, 'publicUrl' | 'token' | 'happenedAt'>;

export function emailChangeRequestedMail({ publicUrl, token, happenedAt }: Facts): MailContent {
  return layout('Your email address is about to change', [
    'Hello,',
    `On ${formatTime(happenedAt)}, a new email address was requested for your account. Once the new address is confirmed, you sign in with it, and we send our emails to it.`,
    'If you requested the change, you do not need to do anything.',
    'If it was not you, stop the change now:',
    ...undoParts(publicUrl, token, 'Stop the change'),
  ]);
}

export function emailChangedMail({ publicUrl, token, happenedAt }: Facts): MailContent {
  return layout('Your email address was changed', [
    'Hello,',
    `The email address of your account was changed on ${formatTime(happenedAt)}. You now sign in with the new address, and we send our emails to it.`,
    'If you requested the change, you do not need to do anything.',
    'If it was not you, undo the change now:',
    ...undoParts(publicUrl, token, 'Undo the change'),
  ]);
}

export function emailChangeUndoneMail({ publicUrl, happenedAt }: Pick<Facts, 'publicUrl' | 'happenedAt'>): MailContent {
  return layout('The change of your email address was undone', [
    'Hello,',
    `An account had changed its email address to this one. The owner of the previous address undid the change on ${formatTime(happenedAt)}, and the account uses the previous address again.`,
    'All devices were signed out, and the account needs a new password. We sent the link to set it to the previous address.',
    `If you did not expect this, please contact us: ${publicUrl}`,
  ]);
}

function undoParts(publicUrl: string, token: string, label: string): Part[] {
  return [
    { label, href: `${publicUrl}/undo-email-change#token=${token}` },
    'Your account then keeps this address, all devices are signed out, and we send you a link to set a new password. The link can be used once and is valid until seven days after the change.',
  ];
}
