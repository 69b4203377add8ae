import type { ReofferedChallenge } from '../../auth/reoffer-challenge.ts';
import { alert, escapeHtml, form, page } from './session-pages.ts';

/** Where the forms of the page lead, and the fields that each of them has. */
export type SecondStepForm = {
  action: string;
  hidden: Record<string, string>;
  /** Starts a new challenge. */
  restartUrl: string;
};

type Enrolment = NonNullable<ReofferedChallenge['enrolment']>;

/** @param message about the attempt before */
export function secondStepPage(
  { action, hidden, restartUrl }: SecondStepForm,
  { id, kinds, passkeyRequestOptions, enrolment }: ReofferedChallenge,
  message = '',
): string {
  const own = { action, hidden: { ...hidden, challengeId: id } };
  const starts = kinds.length === 1 && message === '' ? { starts: 'now' } : {};
  const passkey = { request: passkeyRequestOptions, ...starts };
  const parts = enrolment
    ? [
        textOf(enrolment),
        form(own, totpField('Confirm')),
        form({ ...own, passkey: { creation: enrolment.passkeyCreationOptions } }, PASSKEY_TO_ADD),
      ]
    : [
        kinds.includes('totp') ? form(own, totpField('Continue')) : '',
        kinds.includes('passkey') ? form({ ...own, passkey }, PASSKEY) : '',
        kinds.includes('recovery_code') ? details('Use a recovery code', form(own, RECOVERY_CODE)) : '',
      ];
  const title = enrolment ? 'Add a second factor' : 'Confirm that it is you';
  return page(title, [alert(message), ...parts, `<p><a href="${escapeHtml(restartUrl)}">Start again</a></p>`]);
}

/** The service has no other copy of the codes. */
export function recoveryCodesPage(recoveryCodes: string[], returnTo: string): string {
  const codes = recoveryCodes.map((code) => `<li><code>${escapeHtml(code)}</code></li>`).join('');
  return page('Your recovery codes', [
    '<p>Each code signs you in once if you lose your second factor. Keep them in a safe place. They are shown only now.</p>',
    `<ul>${codes}</ul>`,
    `<p><a href="${escapeHtml(returnTo)}">Continue</a></p>`,
  ]);
}

function textOf({ totp: { qrCodeSvg, secret } }: Enrolment): string {
  return `<p>Your account requires a second factor. Scan this code with an authenticator app:</p>
${qrCodeSvg}
<p>Or type this secret into the app: <code>${escapeHtml(secret)}</code></p>`;
}

function totpField(button: string): string {
  return `<label>Code of your authenticator app <input name="totpCode" inputmode="numeric" autocomplete="one-time-code" required autofocus></label>
<button>${button}</button>`;
}

const RECOVERY_CODE = `<label>Recovery code <input name="recoveryCode" inputmode="text" autocomplete="off" autocapitalize="off" spellcheck="false" required></label>
<button>Continue</button>`;

const PASSKEY = passkeyField('passkeyAssertion', 'Use a passkey');
const PASSKEY_TO_ADD = passkeyField('passkeyRegistration', 'Add a passkey instead');

function passkeyField(name: string, button: string): string {
  return `<input type="hidden" name="${name}" data-response>
<p role="alert" hidden>The browser could not use a passkey. Try again.</p>
<button>${button}</button>`;
}

function details(summary: string, content: string): string {
  return `<details><summary>${summary}</summary>\n${content}\n</details>`;
}
