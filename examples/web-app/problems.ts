// Sentences for the user, by the reason of Latchkey's error.
import { reasonOf, retryAfterOf, violationsOf } from '@latchkey/client';
import { type Html, html } from './html.ts';
import { Stop } from './pages.ts';

const TEXTS: Record<string, string> = {
  CREDENTIALS_INVALID: 'The address or the password is wrong.',
  EMAIL_TAKEN: 'There is an account with this address. Sign in, or set a new password.',
  PASSWORD_WRONG: 'The current password is wrong.',
  RESET_TOKEN_INVALID: 'The link was used before or has expired. Request a new one.',
  VERIFICATION_TOKEN_INVALID: 'The link was used before or has expired. Request a new one.',
  VERIFICATION_OWNER_REQUIRED: 'Sign in, or enter the password of the account.',
  NETWORK_TOKEN_INVALID: 'The link was used before or has expired.',
  UNDO_TOKEN_INVALID: 'The link was used before or has expired.',
  FACTOR_INVALID: 'The code or the passkey is wrong, or was used before.',
  CHALLENGE_INVALID: 'That took too long. Start again.',
  FACTOR_REQUIRED: 'Your account requires this factor. Add another one first.',
  FACTOR_NOT_FOUND: 'This factor was removed before.',
  TOO_MANY_FACTORS: 'Your account has the greatest number of factors. Remove one first.',
  PASSKEY_TAKEN: 'This passkey belongs to an account already.',
  TOKEN_REVOKED: 'You were signed out. Sign in again.',
};
const FIELDS: Record<string, string> = {
  email: 'The address',
  new_email: 'The new address',
  password: 'The password',
  new_password: 'The new password',
  full_name: 'The name',
  name: 'The name',
  totp_code: 'The code',
  recovery_code: 'The recovery code',
};

/** The sentence for a failed call. Rethrows an error that is no answer of Latchkey to the user. */
export function problemOf(error: unknown): string {
  const reason = reasonOf(error);
  const violations = violationsOf(error).map(({ field, description }) => `${FIELDS[field] ?? field} ${description}.`);
  if (violations.length > 0) return violations.join(' ');
  if (reason === 'RATE_LIMITED') return `Too many attempts. Try again in ${waitOf(error)}.`;
  const text = reason === null ? undefined : TEXTS[reason];
  if (text === undefined) throw error;
  return text;
}

/** The arguments of `respond` for an error that no page has handled. */
export function problemPage(error: unknown): [status: number, title: string, body: Html] {
  if (error instanceof Stop)
    return [error.status, 'That did not work', html`<p>${error.message}</p><a href="/">Home</a>`];
  console.error(error);
  return [
    503,
    'Try again soon',
    html`<p>We cannot do this at the moment. You are still signed in.</p><a href="/">Home</a>`,
  ];
}

function waitOf(error: unknown): string {
  const minutes = Math.ceil((retryAfterOf(error) ?? 60_000) / 60_000);
  return minutes === 1 ? 'a minute' : `${minutes} minutes`;
}
