import { layout, type MailContent } from './layout.ts';

export function passwordChangedMail(publicUrl: string): MailContent {
  return layout('Your password was changed', [
    'Hello,',
    'the password of your account was changed, and other devices were signed out.',
    `If it was not you, set a new password at once: ${publicUrl}`,
  ]);
}
