import { layout, type MailContent } from './layout.ts';

/** The token is in the fragment, which browsers send to no server. */
export function passwordResetMail(fullName: string, publicUrl: string, token: string, ttlSeconds: number): MailContent {
  return layout('Set a new password', [
    `Hello ${fullName},`,
    'somebody, hopefully you, asked for a new password for your account.',
    { label: 'Set a new password', href: `${publicUrl}/reset-password#token=${token}` },
    `The link works once, within ${Math.round(ttlSeconds / 60)} minutes.`,
    'If it was not you, ignore this mail: your password stays as it is.',
  ]);
}
