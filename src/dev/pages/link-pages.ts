import { escapeHtml } from '../../jobs/mails/escape-html.ts';
import { pageLayout } from './page-layout.ts';

/** `name` is the field of the request. */
type Field = { name: string; label: string; autocomplete: 'new-password' | 'current-password' };

type LinkPage = {
  title: string;
  method: string;
  tokenField: string;
  explanation: string;
  fields: Field[];
  button: string;
  done: string;
};

const PAGES: Record<string, LinkPage> = {
  '/reset-password': {
    title: 'Set a new password',
    method: 'ConfirmReset',
    tokenField: 'resetToken',
    explanation: 'The new password replaces the old one, and all devices are signed out.',
    fields: [{ name: 'newPassword', label: 'New password', autocomplete: 'new-password' }],
    button: 'Set the password',
    done: 'The password is set. You can sign in with it.',
  },
  '/verify-email': {
    title: 'Confirm an email address',
    method: 'VerifyEmail',
    tokenField: 'verificationToken',
    explanation:
      'The link proves that you receive mail at this address. The password proves that the account is yours.',
    fields: [{ name: 'password', label: 'Password of the account', autocomplete: 'current-password' }],
    button: 'Confirm the address',
    done: 'The address is confirmed. You can sign in with it.',
  },
  '/confirm-network': {
    title: 'Allow sign-ins from here',
    method: 'ConfirmNetwork',
    tokenField: 'networkToken',
    explanation: 'Failed sign-ins of others then no longer block your sign-ins from this network.',
    fields: [],
    button: 'Allow sign-ins from here',
    done: 'You can sign in from this network with your password.',
  },
  '/undo-email-change': {
    title: 'Undo the change of an email address',
    method: 'UndoEmailChange',
    tokenField: 'undoToken',
    explanation:
      'The account keeps the address that received this link. All devices are signed out, and a mail brings a link to set a new password.',
    fields: [],
    button: 'Keep my address',
    done: 'The change is undone. A mail with a link to set a new password is on its way.',
  },
};

/** The token stays in the fragment, and opening the page makes no call. Null for a path that no e-mail links to. */
export function linkPage(path: string): string | null {
  const page = Object.hasOwn(PAGES, path) ? PAGES[path] : undefined;
  if (!page) return null;
  const { title, method, tokenField, explanation, fields, button, done } = page;
  const inputs = fields.map(
    ({ name, label, autocomplete }) =>
      `<label>${escapeHtml(label)} <input type="password" name="${name}" autocomplete="${autocomplete}" required></label>`,
  );
  return pageLayout(
    title,
    'link-page.js',
    `<p>${escapeHtml(explanation)}</p>
<form data-method="${method}" data-token-field="${tokenField}" data-done="${escapeHtml(done)}">
${inputs.join('\n')}
<button disabled>${escapeHtml(button)}</button>
</form>
<p id="status" role="status"></p>
<noscript><p>This page requires JavaScript, because only the browser can read the token in the link.</p></noscript>
<footer>A page for development. Your product's own page makes the call <code>AuthService/${method}</code> and replaces this one:
set <code>PUBLIC_URL</code> to the product's address. <a href="/">This service</a></footer>`,
  );
}
