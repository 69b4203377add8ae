// What an owner is told, in case it was somebody else.
import { layout, type MailContent } from './layout.ts';

export function passwordChangedMail(publicUrl: string): MailContent {
  return layout('Your password was changed', [
    'Hello,',
    'the password of your account was changed, and whoever was signed in with the old one elsewhere was signed out.',
    `If it was not you, set a new password at once: ${publicUrl}`,
  ]);
}

/** @param providers whose accounts open this one, too: somebody else may have linked them before */
export function passwordResetDoneMail(publicUrl: string, providers: string[]): MailContent {
  const others = `It can also be signed in to with accounts at: ${providers.join(', ')}. Remove those that are not yours.`;
  return layout('Your password was reset', [
    'Hello,',
    'a new password was set for your account, by the link that we had mailed to you. Whoever was signed in was signed out.',
    ...(providers.length > 0 ? [others] : []),
    `If it was not you, somebody else reads your mail: change its password first, then set a new one here: ${publicUrl}`,
  ]);
}

export function emailTakenMail(publicUrl: string): MailContent {
  return layout('You have an account already', [
    'Hello,',
    'somebody, hopefully you, wanted to open an account with this email address, or to use it for theirs. It has one already.',
    `Sign in with it, or set a new password if you have forgotten yours: ${publicUrl}`,
    'If it was not you, ignore this mail.',
  ]);
}

/** @param provider as configuration names it, such as `google` */
export function signInMethodAddedMail(publicUrl: string, provider: string): MailContent {
  return layout('A new way to sign in to your account', [
    'Hello,',
    `you can now also sign in to your account with ${provider}.`,
    `If it was not you, sign in, remove it, and set a new password: ${publicUrl}`,
  ]);
}

export function signInMethodRemovedMail(publicUrl: string, provider: string): MailContent {
  return layout('A way to sign in to your account was removed', [
    'Hello,',
    `your account cannot be signed in to with an account at this provider any more: ${provider}. Whoever was signed in with it elsewhere was signed out.`,
    `If it was not you, set a new password at once: ${publicUrl}`,
  ]);
}

export function accountDeletedMail(): MailContent {
  return layout('Your account was deleted', [
    'Hello,',
    'your account was deleted, and all that we knew of you with it.',
  ]);
}
