import type { FactorKind } from '../../domain/factor.ts';
import { formatTime, layout, type MailContent } from './layout.ts';
import type { MailFacts } from './mails.ts';
import { NOTHING_TO_DO } from './notices.ts';

type Facts<Name extends keyof MailFacts> = Pick<MailFacts, 'publicUrl' | 'happenedAt' | Name>;

const FACTOR_NAMES: Record<FactorKind, string> = { totp: 'An authenticator app', passkey: 'A passkey' };

export function factorAddedMail({ publicUrl, happenedAt, factorKind }: Facts<'factorKind'>): MailContent {
  return layout('Your account has a new second factor', [
    'Hello,',
    `${FACTOR_NAMES[factorKind]} was added to your account on ${formatTime(happenedAt)}. You can now use it when you sign in.`,
    NOTHING_TO_DO,
    `If it was not you, another person may have access to your account. Set a new password now. If you cannot sign in, ask us to remove the factor: ${publicUrl}`,
  ]);
}

export function factorRemovedMail({ publicUrl, happenedAt, factorKind }: Facts<'factorKind'>): MailContent {
  return layout('A second factor of your account was removed', [
    'Hello,',
    `${FACTOR_NAMES[factorKind]} was removed from your account on ${formatTime(happenedAt)}. Other devices that were signed in with it were signed out.`,
    'If you did this yourself or asked an administrator for it, you do not need to do anything.',
    `If it was not you, another person may have access to your account. Set a new password now: ${publicUrl}`,
  ]);
}

export function recoveryCodeUsedMail({ publicUrl, happenedAt, codesLeft }: Facts<'codesLeft'>): MailContent {
  return layout('A recovery code of your account was used', [
    'Hello,',
    `A recovery code of your account was used on ${formatTime(happenedAt)}. ${codesThatAreLeft(codesLeft)}`,
    NOTHING_TO_DO,
    `If it was not you, another person has your recovery codes, and access to your account. Set a new password now, and create new recovery codes: ${publicUrl}`,
  ]);
}

export function recoveryCodesCreatedMail({ publicUrl, happenedAt }: Facts<never>): MailContent {
  return layout('Your account has new recovery codes', [
    'Hello,',
    `New recovery codes were created for your account on ${formatTime(happenedAt)}. The former codes no longer work.`,
    NOTHING_TO_DO,
    `If it was not you, another person may have access to your account. Set a new password now: ${publicUrl}`,
  ]);
}

export function wrongCodesMail({ publicUrl, happenedAt }: Facts<never>): MailContent {
  return layout('Many wrong codes were entered for your account', [
    'Hello,',
    `Many wrong codes of a second factor were entered for your account, the last on ${formatTime(happenedAt)}. After more of them we reject all codes for a while, but no passkey.`,
    NOTHING_TO_DO,
    `If it was not you, another person knows your password, or uses a device on which you are signed in. Set a new password now: ${publicUrl}`,
  ]);
}

function codesThatAreLeft(count: number): string {
  if (count === 0) return 'It was the last one. Create new codes now.';
  return count === 1 ? 'One unused code is left. Create new codes soon.' : `${count} unused codes are left.`;
}
