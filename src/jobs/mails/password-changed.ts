import { layout, type MailContent } from './layout.ts';

export function passwordChangedMail(publicUrl: string): MailContent {
  return layout('Your password was changed', [
    'Hello,',
    'the password of your account was changed, and whoever was signed in with the old one elsewhere was signed out.',
    `If it was not you, set a new password at once: ${publicUrl}`,
  ]);
}
