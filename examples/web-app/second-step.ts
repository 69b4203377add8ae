// The forms for a challenge of Latchkey: the second step of a sign-in, and the confirmation of a dangerous action.
import { type Challenge, FactorKind, type TotpEnrolment } from '@latchkey/client/proto/types';
import { type Html, html } from './html.ts';
import { Stop } from './pages.ts';

/** The parts of a challenge that the page shows again after a wrong code. The form carries them, as JSON. */
export type Step = {
  id: string;
  kinds: number[];
  requestOptions: string;
  /** A factor to add: the secret of an authenticator app, the options for a passkey. */
  totp: { secret: string; qrCode: string } | null;
  creationOptions: string;
};

type Fields = Record<string, string>;

const PROOFS = [
  ['code', 'totpCode'],
  ['recovery', 'recoveryCode'],
  ['passkey', 'passkeyAssertion'],
] as const;

/** The names of the fields that these forms add to the fields of the caller. */
export const STEP_FIELDS = ['challenge', 'new-passkey', ...PROOFS.map(([name]) => name)];

export function stepOf(challenge: Challenge | undefined): Step {
  const { id = '', kinds = [], passkeyRequestOptions = '', enrolment } = challenge ?? {};
  return {
    ...{ id, kinds, requestOptions: passkeyRequestOptions },
    totp: totpOf(enrolment?.totp),
    creationOptions: enrolment?.passkeyCreationOptions ?? '',
  };
}

export function totpOf(totp: TotpEnrolment | undefined): Step['totp'] {
  return totp ? { secret: totp.secret, qrCode: Buffer.from(totp.qrCodeSvg).toString('base64') } : null;
}

/** The step that the form carries. It came from this server, and its user can spoil only the own page. */
export function stepIn(form: URLSearchParams): Step {
  try {
    const step = JSON.parse(form.get('challenge') ?? '');
    if (typeof step.id === 'string' && Array.isArray(step.kinds)) return step;
  } catch {}
  throw new Stop(400, 'The form is incomplete.');
}

/** The code or the passkey's response of the form. */
export function proofIn(form: URLSearchParams) {
  const [name, proof] = PROOFS.find(([name]) => form.get(name)) ?? PROOFS[0];
  const value = (form.get(name) ?? '').trim();
  // Apps show codes with a space.
  return { case: proof, value: proof === 'totpCode' ? value.replaceAll(/\s/g, '') : value };
}

/** A form for each kind of proof that the challenge accepts. Each carries the fields. */
export function stepForms(step: Step, action: string, fields: Fields = {}): Html {
  const carried = { ...fields, challenge: JSON.stringify(step) };
  const accepts = (kind: number) => step.kinds.includes(kind);
  const forms: Html[] = [];
  if (step.totp) forms.push(newApp(step.totp));
  if (step.creationOptions) forms.push(createForm(step.creationOptions, action, carried));
  if (step.requestOptions && accepts(FactorKind.PASSKEY)) {
    forms.push(html`<form method="post" action="${action}" data-get="${step.requestOptions}">${hidden(carried)}
<input type="hidden" name="passkey"><button>Use a passkey</button></form>`);
  }
  if (accepts(FactorKind.TOTP)) forms.push(codeForm(action, carried));
  if (accepts(FactorKind.RECOVERY_CODE)) {
    forms.push(html`<form method="post" action="${action}">${hidden(carried)}
<label>Recovery code <input name="recovery" autocomplete="off" required></label><button>Use a recovery code</button></form>`);
  }
  return html`${forms}`;
}

/** A form that creates a passkey in the browser. */
export function createForm(options: string, action: string, fields: Fields): Html {
  return html`<form method="post" action="${action}" data-create="${options}">${hidden(fields)}
<input type="hidden" name="new-passkey"><button>Create a passkey</button></form>`;
}

export function codeForm(action: string, fields: Fields): Html {
  return html`<form method="post" action="${action}">${hidden(fields)}
<label>Code of your authenticator app <input name="code" inputmode="numeric" autocomplete="one-time-code" required></label>
<button>Use the code</button></form>`;
}

export function newApp({ secret, qrCode }: NonNullable<Step['totp']>): Html {
  return html`<p>Scan this code with an authenticator app, or type the secret there: <code id="secret">${secret}</code></p>
<img class="qr-code" alt="QR code of the secret" src="data:image/svg+xml;base64,${qrCode}">`;
}

export function recoveryCodes(codes: string[]): Html {
  return html`<p>Each of these codes replaces your second factor once. Keep them in a safe place. We do not show them again.</p>
<ul id="recovery-codes">${codes.map((code) => html`<li><code>${code}</code></li>`)}</ul><a href="/security">Continue</a>`;
}

export function hidden(fields: Fields): Html[] {
  return Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`);
}
