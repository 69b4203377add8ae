import type { FactorKind } from '../../domain/factor.ts';
import { formatTime, layout, type MailContent } from './layout.ts';
import type { MailFacts } from './mails.ts';

type Facts<Name extends keyof MailFacts> = Pick<MailFacts, 'publicUrl' | Name>;

export const NOTHING_TO_DO = 'If you did this yourself, you do not need to do anything.';
const PROVIDER_NAMES = new Map([
  ['google', 'Google'],
  ['github', 'GitHub'],
]);

export function passwordChangedMail({ publicUrl, happenedAt }: Facts<'happenedAt'>): MailContent {
  return layout('Your password was changed', [
    'Hello,',
    `The password of your account was changed on ${formatTime(happenedAt)}. All other devices were signed out.`,
    NOTHING_TO_DO,
    `If it was not you, another person may have access to your account. Set a new password now: ${publicUrl}`,
  ]);
}

/** Names the accounts at providers, and the factors, with which another person who added them could still sign in. */
export function passwordResetDoneMail({
  publicUrl,
  happenedAt,
  providers,
  factorKinds,
}: Facts<'happenedAt' | 'providers' | 'factorKinds'>): MailContent {
  const names = providers.map((provider) => PROVIDER_NAMES.get(provider) ?? provider).join(', ');
  return layout('Your password was reset', [
    'Hello,',
    `A new password was set for your account on ${formatTime(happenedAt)}, with the link that we sent to this address. All devices were signed out.`,
    ...(providers.length > 0
      ? [`You can also sign in with accounts at: ${names}. Remove each account that is not yours.`]
      : []),
    ...(factorKinds.length > 0
      ? [`Your account has these second factors: ${factorNames(factorKinds)}. Remove each one that is not yours.`]
      : []),
    NOTHING_TO_DO,
    `If it was not you, another person can read your emails. Change the password of your mailbox first. Then set a new password here: ${publicUrl}`,
  ]);
}

export function emailTakenMail({ publicUrl }: Facts<never>): MailContent {
  return layout('You already have an account', [
    'Hello,',
    'We received a request to create an account with this email address, or to use it for another account. The address already belongs to your account, so we changed nothing.',
    `If it was you, sign in to your account, or set a new password if you have forgotten it: ${publicUrl}`,
    'If it was not you, you can ignore this email.',
  ]);
}

export function signInMethodAddedMail({
  publicUrl,
  provider,
  happenedAt,
}: Facts<'provider' | 'happenedAt'>): MailContent {
  return layout('A new way to sign in to your account', [
    'Hello,',
    `${accountAt(provider)} can now be used to sign in to your account. It was added on ${formatTime(happenedAt)}.`,
    NOTHING_TO_DO,
    `If it was not you, sign in, remove it, and set a new password: ${publicUrl}`,
  ]);
}

export function signInMethodRemovedMail({
  publicUrl,
  provider,
  happenedAt,
}: Facts<'provider' | 'happenedAt'>): MailContent {
  return layout('A way to sign in to your account was removed', [
    'Hello,',
    `${accountAt(provider)} can no longer be used to sign in to your account. It was removed on ${formatTime(happenedAt)}. Other devices that were signed in with it were signed out.`,
    NOTHING_TO_DO,
    `If it was not you, another person may have access to your account. Set a new password now: ${publicUrl}`,
  ]);
}

export function accountDeletedMail({ publicUrl, happenedAt }: Facts<'happenedAt'>): MailContent {
  return layout('Your account was deleted', [
    'Hello,',
    `Your account and your personal data were deleted on ${formatTime(happenedAt)}. This cannot be undone.`,
    `If you did not expect this, please contact us: ${publicUrl}`,
  ]);
}

function accountAt(provider: string): string {
  const name = PROVIDER_NAMES.get(provider);
  return name ? `A ${name} account` : `An account at ${provider}`;
}

function factorNames(kinds: FactorKind[]): string {
  const count = (kind: FactorKind) => kinds.filter((one) => one === kind).length;
  const [apps, passkeys] = [count('totp'), count('passkey')];
  const names = [
    ...(apps > 0 ? [apps === 1 ? 'an authenticator app' : `${apps} authenticator apps`] : []),
    ...(passkeys > 0 ? [passkeys === 1 ? 'a passkey' : `${passkeys} passkeys`] : []),
  ];
  return names.join(' and ');
}
